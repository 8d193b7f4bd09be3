"""Runs that are saved, kept, found again and gone on with."""
