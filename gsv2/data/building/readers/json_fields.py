"""Fields of a JSON object that describes one clip -> what is known of it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from gsv2.data.building.offered import LeftOutError
from gsv2.data.building.readers.columns import NAMES
from gsv2.data.indexing.clip import lookup, text_of

_LABELS = ("text", "language", "speaker", "source", "licence")
"""What the JSON beside a clip says; its times, paths and identifiers are those of its origin."""


def described(content: bytes, columns: Mapping[str, str]) -> dict[str, str]:
    """Return what a JSON object says of its clip.

    Args:
        content: JSON in UTF-8.
        columns: field -> name in the object, dots lead into objects: `meta.sentence`.

    Raises:
        LeftOutError: it is no JSON object.
    """
    try:
        given = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise LeftOutError("JSON cannot be read", str(error)) from error
    if not isinstance(given, dict):
        raise LeftOutError("JSON is no object", f"{str(given)[:80]}")
    by_name = {name.lower(): value for name, value in given.items()}
    found = {}
    for field in _LABELS:
        if field in columns:
            values = [lookup(given, columns[field])] if columns[field] else []
        else:
            values = [by_name.get(name) for name in NAMES[field]]
        found[field] = next((label for value in values if (label := text_of(value))), "")
    return found
