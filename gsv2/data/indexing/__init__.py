"""WebDatasets that others made: scan and index them where they lie."""
