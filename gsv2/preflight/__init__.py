"""What would stop a run of several ranks, found under its launcher before the run.

`gsv2 doctor` looks at one machine and one config; this compares all ranks and tries what they do
together. Every rank looks for itself, one gather brings the reports together, and what follows
depends on all of them alone: every rank takes the same branch.
"""
