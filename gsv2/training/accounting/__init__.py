"""Accounts of a run: state, ledger, positions of the lanes, hours, clips that could not be read."""
