"""Aligner: which character of the text is spoken at each code frame."""
