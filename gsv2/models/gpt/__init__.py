"""Semantic GPT: text and same-speaker prompts -> codes, one file a part."""
