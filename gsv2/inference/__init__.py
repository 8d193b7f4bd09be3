"""Inference: text and references -> waveform, bundles, codes of a corpus."""
