"""What is trained: one file a stage, and the literal table of them."""
