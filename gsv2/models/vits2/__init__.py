"""Waveform model (VITS2, arXiv:2307.16430), one file a part."""
