"""Typed configuration: dataclass defaults < YAML file < command line overrides.

The only importer of omegaconf. Every dataclass stands beside its owner; this module merges,
checks and writes them, and turns omegaconf's errors into one line that names the key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gsv2.config_numbers import check_finite, check_signs, find_wrong_sign
from gsv2.files import write_atomically
from gsv2.shipped import find_config


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the key and the value."""


def load_config(path: str | Path, overrides: Sequence[str], schemas: Mapping[str, type]) -> Any:
    """Load the configuration of one run.

    Args:
        path: YAML file whose `stage` key selects the schema, or a shipped config: `gpt/debug`.
        overrides: `section.key=value` strings; the last one wins.
        schemas: stage name -> frozen dataclass of the whole file.

    Returns:
        An instance of `schemas[stage]`.

    Raises:
        ConfigError: missing file, bad YAML, unknown stage or key, wrong type or value.
    """
    file = _read_yaml(_find(Path(path)))
    dotlist = _read_overrides(overrides)
    stage = OmegaConf.select(dotlist, "stage") or OmegaConf.select(file, "stage")
    if not isinstance(stage, str) or stage not in schemas:
        raise ConfigError(
            f"{path}: stage must be one of {', '.join(sorted(schemas))}, but is {stage!r}"
        )
    return _merge(schemas[stage], [file, dotlist], where=str(path))


def config_to_dict(config: Any) -> dict[str, Any]:
    """Return the nested plain values of a config dataclass."""
    return asdict(config)


def save_config(config: Any, path: Path) -> None:
    """Write a config dataclass as YAML that `load_config` reads back equal."""
    text = yaml.safe_dump(_lists(asdict(config)), sort_keys=False, allow_unicode=True)
    write_atomically(path, text)


def _merge(schema: type, layers: Sequence[DictConfig], where: str) -> Any:
    try:
        for layer in layers:
            _check_containers(schema, OmegaConf.to_container(layer), key="")
        merged = OmegaConf.merge(_defaults(schema), *layers)
        values = OmegaConf.to_container(merged, resolve=True)
        check_finite(values)
        config = _make(schema, merged, values)
        check_signs(asdict(config))
        return config
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None)
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{where}: {key}: {reason}" if key else f"{where}: {reason}") from error
    except TypeError as error:  # a mapping where a list should be
        raise ConfigError(f"{where}: {error}") from error
    except ConfigError:
        raise
    except ValueError as error:  # from a dataclass's own __post_init__
        raise ConfigError(f"{where}: {error}") from error


@cache
def _defaults(schema: type) -> Any:
    """Return the defaults, which `OmegaConf.merge` copies: to make them takes half of a loading."""
    return OmegaConf.structured(schema)


@cache
def _types(schema: type) -> Mapping[str, Any]:
    """Return the types of the fields of a dataclass."""
    return get_type_hints(schema)


def _make(schema: type, merged: Any, values: Any) -> Any:
    """Return the config; its own checks say more than ours, where they name the same key."""
    try:
        _check_tables(schema, merged)
        return OmegaConf.to_object(merged)
    except (ArithmeticError, ValueError) as error:
        if (wrong := find_wrong_sign(values)) and wrong.name not in str(error):
            raise ValueError(wrong.message) from error
        raise


def _check_containers(wanted: Any, value: Any, key: str) -> None:
    """Check that sections are mappings and lists are lists, where omegaconf's errors name no key.

    Args:
        wanted: type of the value.
        value: value as it is in the file or an override.
        key: key of the value.

    Raises:
        ValueError: names the key.
    """
    if isinstance(value, str) and value.startswith("${"):  # stands for another value
        return
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin in (Union, UnionType):
        if value is not None:
            for choice in set(inner) - {NoneType}:
                _check_containers(choice, value, key)
    elif is_dataclass(wanted) or origin is dict:
        if not isinstance(value, dict):
            raise ValueError(f"{key} must be a mapping of keys, but is {_shown(value)}")
        types = dict.fromkeys(value, inner[1]) if inner else _types(wanted)
        for name in value.keys() & types.keys():
            _check_containers(types[name], value[name], f"{key}.{name}" if key else name)
    elif origin in (list, tuple):
        if not isinstance(value, list):
            raise ValueError(f"{key} must be a list, [a, b], but is {_shown(value)}")
        for number, item in enumerate(value):
            _check_containers(inner[0], item, f"{key}[{number}]")
    elif wanted in (int, float) and key.endswith("]"):
        _check_number(wanted, value, key)


def _check_number(wanted: type, value: Any, key: str) -> None:
    """Check a number of a list: of one that is none, omegaconf's error shows neither."""
    try:
        is_right = not isinstance(value, float) or wanted is float
        wanted(value)
    except (ValueError, TypeError, OverflowError):
        is_right = False
    if not is_right:
        noun = "whole number" if wanted is int else "number"
        raise ValueError(f"{key} must be a {noun}, but is {_shown(value)}")


def _check_tables(schema: type, merged: Any) -> None:
    """Make the entries of tables alone first: their errors do not know whose they are.

    Raises:
        ValueError: an entry is refused; names the key of its value (`optim.gpt.lr`).
    """
    for table, wanted in _types(schema).items():
        if get_origin(wanted) is not dict or not is_dataclass(get_args(wanted)[1]):
            continue
        for name, entry in (merged[table] or {}).items():
            try:
                OmegaConf.to_object(entry)
            except OmegaConfBaseException:
                raise
            except ValueError as error:
                raise ValueError(f"{table}.{name}.{error}") from error


def _shown(value: Any) -> str:
    return "empty" if value is None else repr(value)


def _find(path: Path) -> Path:
    try:
        found = find_config(path)
    except ValueError as error:
        raise ConfigError(f"config file {error}") from error
    if not found.is_file():
        raise ConfigError(f"config file {path} is no file")
    return found


def _read_yaml(path: Path) -> DictConfig:
    try:
        loaded = OmegaConf.load(path)
    except (yaml.YAMLError, OmegaConfBaseException, RecursionError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} must be UTF-8 text, but is not: {error}") from error
    if not isinstance(loaded, DictConfig):
        raise ConfigError(f"{path} must hold a mapping of sections")
    return loaded


def _read_overrides(overrides: Sequence[str]) -> DictConfig:
    for override in overrides:
        key, equals, _ = override.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"an override must read section.key=value, but is {override!r}")
    try:
        return OmegaConf.from_dotlist(list(overrides))
    except (OmegaConfBaseException, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"overrides {list(overrides)}: {reason}") from error


def _lists(value: Any) -> Any:
    """Replace tuples by lists, which is what YAML has."""
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_lists(item) for item in value]
    return value
