"""Text encoders: a text becomes one vector a token."""
