"""Checkpoints of runs: saved, kept, mirrored, found again and gone on from."""
