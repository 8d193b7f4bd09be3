"""From text and references to a waveform."""
