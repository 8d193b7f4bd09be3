"""Losses, in plain torch."""
