"""Networks as C99: one file and its header, with nothing else to link."""
