"""Waveforms, spectrograms and frozen speech encoders."""
