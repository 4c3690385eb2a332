"""From YAML to a plan: reading, composing, checking, compiling."""
