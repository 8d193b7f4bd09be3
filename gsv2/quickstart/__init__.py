"""Demonstration run: demo corpus, the steps, the figures and the report."""
