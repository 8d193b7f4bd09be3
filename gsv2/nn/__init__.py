"""Layers that models share, in plain torch."""
