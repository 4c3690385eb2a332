"""One file that holds a pruned network, and may come from a stranger."""
