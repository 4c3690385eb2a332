"""Faults of every kind while a command works: what it leaves, what it says, how it goes on."""
