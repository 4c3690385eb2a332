"""Tables and pictures of plans, runs and sweeps, made from the files they leave."""
