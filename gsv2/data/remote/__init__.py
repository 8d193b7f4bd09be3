"""Corpora that are no local folders: ways to a file, retries, one sequential pass, a cache."""
