"""Which module computes in which dtype, and what it really computed in."""
