"""List of clips by their keys: JSON lines, each an object with a `key`."""

from __future__ import annotations

import json

import pyarrow as pa

from gsv2.data.corpus.manifest import CorpusError
from gsv2.storage.storage import Storage


def read_key_list(location: str, storage: Storage) -> pa.Array:
    """Return the keys of a list.

    Args:
        location: path or URL of it.
        storage: where it lies.

    Raises:
        CorpusError: it cannot be read, or a line has no key.
    """
    try:
        lines = storage.read(location).decode().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"list of clips {location} cannot be read: {error}") from error
    keys = [_key(location, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    return pa.array(keys, pa.string())


def _key(location: str, number: int, line: str) -> str:
    try:
        values = json.loads(line)
    except ValueError as error:
        raise CorpusError(f"{location}:{number} is no JSON: {error}") from error
    key = values.get("key") if isinstance(values, dict) else None
    if not isinstance(key, str):
        raise CorpusError(f"{location}:{number} must be an object with the key of a clip as `key`")
    return key
