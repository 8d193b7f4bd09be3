"""The learned parts, in plain torch."""
