"""Completion: what a person may write next on a command line; light, for it runs at every tab."""
