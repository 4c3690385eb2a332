"""Masks and what they are made from: layers, scores, quotas, thresholds."""
