"""Training objectives, in plain torch."""
