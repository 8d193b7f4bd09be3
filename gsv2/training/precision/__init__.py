"""Precision of modules: which dtype each computes in, and what it really computed in."""
