"""Shards, the plan of what is read when, and the stream that moves the bytes."""
