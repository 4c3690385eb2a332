"""Recipes in training loops of one's own: no Lightning in here."""
