"""What three weeks bring: signals, ranks that are gone, values that are not finite."""
