"""Values of corpus.json: which there must be, of which type and in which range."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

_MAX_CLIPS = 1 << 40
_MAX_BYTES = 1 << 60
_MAX_NAME = 1024


def check_manifest_values(values: object) -> None:
    """Check the content of corpus.json.

    Raises:
        ValueError: names the key, with its place, and the value.
    """
    if not isinstance(values, dict):
        raise ValueError(f"no corpus description: must be an object, but is {_shown(values)}")
    for key, check in _TOP.items():
        if key not in values:
            raise ValueError(f"no corpus description: {key} is missing")
        check(values[key], key)
    for key, check in _LATER.items():
        check(values.get(key), key)
    for number, shard in enumerate(values["shards"]):
        _check_shard(shard, f"shards[{number}]")
    for language, totals in values["languages"].items():
        place = f"languages.{language}"
        _object(totals, place)
        for key, total in totals.items():
            _amount(total, f"{place}.{key}")
    for reason, count in values["rejected"].items():
        _count(count, f"rejected.{reason}")


def _check_shard(values: object, place: str) -> None:
    _object(values, place)
    assert isinstance(values, dict)
    if unknown := sorted(values.keys() - _SHARD.keys() - _SHARD_OPTIONAL.keys()):
        raise ValueError(f"{place}.{unknown[0]} is not known")
    for key, check in _SHARD.items():
        if key not in values:
            raise ValueError(f"{place}.{key} is missing")
        check(values[key], f"{place}.{key}")
    for key, check in _SHARD_OPTIONAL.items():
        check(values.get(key), f"{place}.{key}")
    if values["num_clips"] and not values["num_bytes"]:
        raise ValueError(f"{place}.num_bytes must be above 0 with clips, but is 0")


def _shown(value: object) -> str:
    """Return a value as it may stand in one line."""
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _must(condition: bool, place: str, rule: str, value: object) -> None:
    if not condition:
        raise ValueError(f"{place} must be {rule}, but is {_shown(value)}")


def _whole(value: object, limit: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < limit


def _count(value: object, place: str) -> None:
    _must(_whole(value, _MAX_CLIPS), place, f"a whole number from 0 to 2^40 ({_MAX_CLIPS})", value)


def _count_or_absent(value: object, place: str) -> None:
    if value is not None:
        _count(value, place)


def _num_bytes(value: object, place: str) -> None:
    _must(_whole(value, _MAX_BYTES), place, f"a whole number from 0 to 2^60 ({_MAX_BYTES})", value)


def _amount(value: object, place: str) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    finite = is_number and 0 <= value < math.inf  # type: ignore[operator]
    _must(finite, place, "a number from 0", value)


def _text(value: object, place: str) -> None:
    _must(isinstance(value, str), place, "a text", value)


def _text_or_null(value: object, place: str) -> None:
    _must(value is None or isinstance(value, str), place, "a text or null", value)


def _object(value: object, place: str) -> None:
    _must(isinstance(value, dict), place, "an object", value)


def _list(value: object, place: str) -> None:
    _must(isinstance(value, list), place, "a list", value)


def _list_or_absent(value: object, place: str) -> None:
    items = [] if value is None else value
    is_right = isinstance(items, list) and all(isinstance(item, dict) for item in items)
    _must(is_right, place, "a list of objects", value)


def _amounts_or_absent(value: object, place: str) -> None:
    if isinstance(value, dict):
        for name, amount in value.items():
            _amount(amount, f"{place}.{name}")
    elif value is not None:
        _object(value, place)


def _kind(value: object, place: str) -> None:
    _must(value in ("audio", "codes", "texts"), place, "audio, codes or texts", value)


def _name(value: object, place: str) -> None:
    parts = value.replace("\\", "/").split("/") if isinstance(value, str) else [""]
    inside = "" not in parts and ".." not in parts
    sane = isinstance(value, str) and value.isprintable() and len(value) <= _MAX_NAME
    _must(inside and sane, place, "a path below the corpus", value)


def _above_0_or_null(whole: bool) -> Check:
    def check(value: object, place: str) -> None:
        kinds = (int,) if whole else (int, float)
        is_number = isinstance(value, kinds) and not isinstance(value, bool)
        noun = "whole number" if whole else "number"
        good = value is None or (is_number and 0 < value < 1 << 62)  # type: ignore[operator]
        _must(good, place, f"a {noun} above 0", value)

    return check


Check = Callable[[object, str], None]
_TOP: Mapping[str, Check] = {
    "num_clips": _count,
    "hours": _amount,
    "num_bytes": _num_bytes,
    "kind": _kind,
    "shards": _list,
    "languages": _object,
    "num_speakers": _count,
    "build": _object,
    "rejected": _object,
    "quantizer": _text_or_null,
    "num_codebooks": _above_0_or_null(whole=True),
}
_LATER: Mapping[str, Check] = {
    "codebook_size": _above_0_or_null(whole=True),
    "code_rate_hz": _above_0_or_null(whole=False),
    "shift_samples": _count_or_absent,
    "aligner": _text_or_null,
    "feature_stats": _list_or_absent,
    "text_encoder": _text_or_null,
    "text_dim": _above_0_or_null(whole=True),
}
"""What older files lack."""
_SHARD: Mapping[str, Check] = {
    "name": _name,
    "num_clips": _count,
    "seconds": _amount,
    "num_bytes": _num_bytes,
    "sha256": _text,
}
_SHARD_OPTIONAL: Mapping[str, Check] = {
    "source_sha256": _text_or_null,
    "language": _text_or_null,
    "licences": _amounts_or_absent,
}
