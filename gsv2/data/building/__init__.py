"""Corpora made of recordings: encoded, spooled, cut into shards."""
