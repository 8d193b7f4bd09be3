"""Bytes of the planned clips, decoded into batches."""
