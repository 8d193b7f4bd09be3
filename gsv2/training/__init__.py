"""Training loop, its engines and its records. Knows ranks; knows no model."""
