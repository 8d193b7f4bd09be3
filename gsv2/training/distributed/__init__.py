"""Ranks of a run: process group, host values, agreement, launcher."""
