"""Text: its normalisation, language tags and encoders."""
