"""Which module computes in which dtype."""
