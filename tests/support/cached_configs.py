"""Configs of tiny runs, read once for all tests that ask for the same: to merge one takes 0.1 s."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from gsv2.config import load_config

_FOLDER = "/folder-of-the-test"


def read_values(values: Mapping[str, Any], schema: type, folder: Path) -> Any:
    """Return what `load_config` makes of a file with these values; each time a copy of its own.

    Args:
        values: of the file; `stage` names the schema.
        schema: dataclass of the whole file.
        folder: the one that differs from test to test; may stand anywhere in the values.
    """
    text = yaml.safe_dump(dict(values)).replace(str(folder), _FOLDER)
    return _placed(_read(text, values["stage"], schema), str(folder))


@cache
def _read(text: str, stage: str, schema: type) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{stage}.yaml"
        file.write_text(text)
        return load_config(file, [], {stage: schema})


def _placed(value: Any, folder: str) -> Any:
    """Return a copy that names the folder of this test."""
    if is_dataclass(value) and not isinstance(value, type):
        inner = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        return replace(value, **{name: _placed(item, folder) for name, item in inner.items()})
    if isinstance(value, dict):
        return {key: _placed(item, folder) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_placed(item, folder) for item in value)
    return value.replace(_FOLDER, folder) if isinstance(value, str) else value
