"""What is found out on the machine at hand: correctness, then time."""
