"""Sweeps: where their jobs are, what earlier ones have done already, and what a person sees."""
