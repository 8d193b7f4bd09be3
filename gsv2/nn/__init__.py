"""Layers shared by the models, in plain torch."""
