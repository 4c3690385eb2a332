"""From a pruned network to a small, checked bundle that is never slower than dense."""
