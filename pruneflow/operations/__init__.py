"""What modifiers do to a network at an event, one operation a file."""
