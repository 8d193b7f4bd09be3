"""Tests of the server need what it needs."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("fastapi") and find_spec("openai") else ["test_*.py"]
