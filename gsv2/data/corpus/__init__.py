"""Corpus as it lies on disk: corpus.json, indexes, tars, and the bytes of a clip."""
