"""Models: the learned parts, in plain torch."""
