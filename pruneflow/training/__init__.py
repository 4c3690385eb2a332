"""One training run: from a resolved configuration to a run folder."""
