"""Recordings -> corpus: encode, spool, shards."""
