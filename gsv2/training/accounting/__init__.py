"""What a run has read: ledger, marks, hours, clips that could not be read."""
