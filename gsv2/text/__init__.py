"""Text normalisation and text encoders."""
