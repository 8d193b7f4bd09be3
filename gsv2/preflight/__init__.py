"""Preflight: what would stop a run, found before it, on one rank or on all under their launcher.

`doctor` is its checks on one rank; `all_ranks` compares all ranks and tries what they do together.
There every rank looks for itself, one gather brings the reports together, and what follows
depends on all of them alone: every rank takes the same branch.
"""
