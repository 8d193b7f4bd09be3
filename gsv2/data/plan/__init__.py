"""Plan of what is read when: lanes, windows, sequences and micro-batches, from the index alone."""
