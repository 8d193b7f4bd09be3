"""A small corpus behind a server, for every test that reads one over HTTP."""

from tests.support.served_corpora import files, server  # noqa: F401  fixtures, by import
