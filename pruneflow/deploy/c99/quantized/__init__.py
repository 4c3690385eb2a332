"""C99 code whose activations are bytes: calibrated ranges, integer sums, integer rescaling."""
