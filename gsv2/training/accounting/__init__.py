"""Accounts of a run: state, ledger, marks, hours, clips that could not be read."""
