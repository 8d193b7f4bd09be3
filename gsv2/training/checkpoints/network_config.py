"""Config of a saved network, compared with that of the run, whatever fields came in between."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from gsv2.models.config_values import build_config

_PLACES = ("path", "feature_stats")
"""Fields of a network's config that say where files lie, which is free."""


def compare_configs(
    saved: Mapping[str, Any], own: Mapping[str, Any], schema: type | None
) -> Iterator[tuple[str, Any, Any]]:
    """Yield each key with its value in a checkpoint and in the run; None = there is none.

    Args:
        saved: config in the checkpoint; fields that came later have their defaults.
        own: config of the run's network.
        schema: dataclass of the config; None = not known.
    """
    there, here = _flat(_with_defaults(saved, schema)), _flat(_plain(own))
    for key in sorted(there.keys() | here.keys()):
        if key.rpartition(".")[2] not in _PLACES:
            yield key, there.get(key), here.get(key)


def _with_defaults(config: Mapping[str, Any], schema: type | None) -> Mapping[str, Any]:
    """Return a saved config with the defaults of fields that came later; as it is if it has others.

    Such a config differs from that of the run, which then says in which key.
    """
    if schema is None:
        return config
    try:
        return _plain(asdict(build_config(schema, config)))
    except (TypeError, ValueError):
        return config


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as JSON gives them back (tuples are lists there)."""
    return json.loads(json.dumps(dict(values)))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
