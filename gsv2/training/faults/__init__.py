"""Faults that three weeks bring: signals, failures, ranks that are gone."""
