"""In place of the worker: a process that dies."""

raise SystemExit("out of everything")
