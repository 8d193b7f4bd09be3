"""Readers of recordings, one file a layout; `choice.READERS` names them all."""
