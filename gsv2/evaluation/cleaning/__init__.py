"""Cleaning of a corpus by trained models: texts that are not said, voices under a wrong name."""
