"""Verification of tars against their index and corpus.json."""
