"""Fitting to a corpus: all parts trained, exported and evaluated within a time."""
