"""Compare tars with their index and corpus.json."""
