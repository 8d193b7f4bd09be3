"""Plain values of a component file -> the config dataclass that they were written from.

The values come from a file that may be damaged or made by anybody: every key must be known, every
value must have the type of its field, and no number may be larger than any size of a model. A key
that an older file does not have yet takes its field's default.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

MAX_SIZE = 2**20
"""No count, width or length of a model is larger."""


def build_config(schema: Any, values: Any, key: str = "config") -> Any:
    """Build a dataclass of dataclasses, tuples and plain values from plain values.

    Args:
        schema: dataclass that the values must fit.
        values: plain values of its fields.
        key: where the values stand, for messages.

    Raises:
        ValueError: a key that `schema` does not have, one without a default that is not there, or
            a value that is not of the field's type; the message names the key.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{key} must be a mapping, but is {_shown(values)}")
    names = [field.name for field in fields(schema)]
    unknown = sorted(map(str, values.keys() - set(names)))
    if unknown:
        raise ValueError(f"{key}: {schema.__name__} has no {', '.join(unknown)}")
    hints = get_type_hints(schema)
    built = {name: _build(hints[name], value, f"{key}.{name}") for name, value in values.items()}
    missing = [name for name in _without_default(schema) if name not in values]
    if missing:
        raise ValueError(f"{key}.{missing[0]} is missing")
    try:
        return schema(**built)
    except ArithmeticError as error:
        raise ValueError(f"{key}: its sizes do not fit together: {error}") from error


def _without_default(schema: Any) -> list[str]:
    """Return the fields that have no default."""
    return [
        field.name
        for field in fields(schema)
        if field.default is MISSING and field.default_factory is MISSING
    ]


def _build(wanted: Any, value: Any, key: str) -> Any:
    """Return one value as its field has it."""
    if is_dataclass(wanted):
        return build_config(wanted, value, key)
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin is Literal:
        if not isinstance(value, str) or value not in inner:
            raise ValueError(f"{key} must be one of {', '.join(inner)}, but is {_shown(value)}")
        return value
    if origin in (Union, UnionType):
        choices = [choice for choice in inner if choice is not NoneType]
        return None if value is None else _build(choices[0], value, key)
    if origin is tuple:
        return _build_tuple(inner, value, key)
    return _check_plain(wanted, value, key)


def _build_tuple(inner: tuple[Any, ...], value: Any, key: str) -> tuple[Any, ...]:
    """Return a list of JSON as a tuple."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"{key} must be a list, but is {_shown(value)}")
    types = [inner[0]] * len(value) if inner[1:] == (Ellipsis,) else list(inner)
    if len(value) != len(types):
        raise ValueError(f"{key} must have {len(types)} entries, but is {_shown(value)}")
    return tuple(
        _build(kind, item, f"{key}[{number}]")
        for number, (kind, item) in enumerate(zip(types, value, strict=True))
    )


def _check_plain(wanted: Any, value: Any, key: str) -> Any:
    """Return a number, bool or text that is of its type and of a sensible size."""
    allowed = (int, float) if wanted is float else (wanted,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and wanted is not bool):
        raise ValueError(f"{key} must be of type {wanted.__name__}, but is {_shown(value)}")
    if isinstance(value, bool | str):
        return value
    if not math.isfinite(value):
        raise ValueError(f"{key} must be finite, but is {value}")
    if wanted is int:
        least = 1 if key.endswith("]") else 0
        if not least <= value <= MAX_SIZE:
            raise ValueError(f"{key} must be {least} to {MAX_SIZE}, but is {_shown(value)}")
    return value


def _shown(value: Any, most: int = 60) -> str:
    """Return a value for a message, cut to `most` characters."""
    if isinstance(value, int) and abs(value) > 10**most:
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."
