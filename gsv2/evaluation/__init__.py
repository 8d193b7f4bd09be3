"""Evaluation: what a stranger understands of a bundle's speech, and whose voice it is."""
