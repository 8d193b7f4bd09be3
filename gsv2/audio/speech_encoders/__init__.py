"""Speech encoders: frozen maps from wave to features at 50 Hz, of which codes are made."""
