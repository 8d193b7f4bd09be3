"""Component: a trained part as one self-describing safetensors file.

The header carries the kind, the config and what the part was trained on, so that checkpoints,
frozen quantizers and bundles are one format and nothing is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from gsv2.files import named_errors
from gsv2.models.config_values import build_config

ConfigT = TypeVar("ConfigT")

_HEADER = "gsv2"
"""Metadata key of the safetensors file."""


class ComponentError(ValueError):
    """A component file that is missing, damaged or of another kind."""


@dataclass(frozen=True, kw_only=True)
class Component:
    """The content of a component file."""

    kind: str
    """`quantizer`, `aligner`, `gpt`, `vits2` or `discriminator`."""
    config: Mapping[str, Any]
    """Plain values of the model's config dataclass."""
    provenance: Mapping[str, str]
    """Hashes of what it depends on, e.g. `{"quantizer": HASH}`; empty if on nothing."""
    tensors: Mapping[str, Tensor]
    """Name in the network's state -> parameter or buffer."""
    path: Path | None = None
    """File that it was read from."""

    @property
    def name(self) -> str:
        """Name of the part in messages."""
        return self.kind if self.path is None else str(self.path)

    def read_config(self, schema: type[ConfigT]) -> ConfigT:
        """Return `config` as the dataclass that it was written from.

        Raises:
            ComponentError: the file knows a key that `schema` does not, lacks one, or has a value
                that is of another type, not finite or beyond any size; the message names it.
        """
        try:
            config: ConfigT = build_config(schema, self.config)
        except ValueError as error:
            raise ComponentError(f"{self.name}: {error}") from error
        return config


def save_component(
    path: Path,
    module: nn.Module,
    *,
    kind: str,
    config: Mapping[str, Any],
    provenance: Mapping[str, str],
) -> None:
    """Write the parameters and buffers of `module` with their description."""
    state = module.state_dict()
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    with named_errors(path, SafetensorError):
        save_file(tensors, path, metadata=describe_component(kind, config, provenance))


def describe_component(
    kind: str, config: Mapping[str, Any], provenance: Mapping[str, str]
) -> dict[str, str]:
    """Return the metadata of a component file."""
    header = {"kind": kind, "config": dict(config), "provenance": dict(provenance)}
    # One key: safetensors writes several in random order, and equal parts must be equal files.
    return {_HEADER: json.dumps(header)}


def read_description(path: Path) -> dict[str, Any]:
    """Return `kind`, `config` and `provenance` of a component file; no tensor is read.

    Raises:
        ComponentError: the file is missing, damaged, or no component.
    """
    if not path.is_file():
        raise ComponentError(f"{path} does not exist")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise ComponentError(f"{path} is damaged: {error}") from error
    return _parse_header(path, metadata)


def load_component(path: Path, kind: str, original: Path | None = None) -> Component:
    """Read a component file.

    Args:
        path: component file.
        kind: kind of part that it must hold.
        original: file that it is a copy of, whose name messages about its content use.

    Raises:
        ComponentError: the file is missing, damaged, or not a `kind`.
    """
    if not path.is_file():
        raise ComponentError(f"{kind} file {path} does not exist")
    header = read_description(path)
    if header["kind"] != kind:
        raise ComponentError(f"{path} must hold a {kind}, but holds {header['kind']!r}")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, LookupError, AttributeError, RuntimeError) as error:
        # All but the first: a type of number that the file format has and torch has not.
        raise ComponentError(f"{path} is damaged: {' '.join(str(error).split())}") from error
    return Component(tensors=tensors, path=original or path, **header)


def _parse_header(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the description that the metadata of a component file hold."""
    if _HEADER not in metadata:
        raise ComponentError(f"{path} is no component file")
    header = parse_object(metadata[_HEADER], f"{path}: {_HEADER}")
    types = {"kind": str, "config": dict, "provenance": dict}
    for key in sorted(types.keys() | header.keys()):
        if key not in types:
            raise ComponentError(f"{path}: {_HEADER} has an unknown key {key!r}")
        if not isinstance(header.get(key), types[key]):
            is_there = f"is {header[key]!r}" if key in header else "is missing"
            raise ComponentError(
                f"{path}: {_HEADER}.{key} must be of type {types[key].__name__}, but {is_there}"
            )
    for key, value in header["provenance"].items():
        if not isinstance(value, str):
            raise ComponentError(
                f"{path}: {_HEADER}.provenance.{key} must be a text, but is {value!r}"
            )
    return header


def parse_object(text: str, where: str) -> dict[str, Any]:
    """Return the JSON object in a text.

    Raises:
        ComponentError: there is none; the message begins with `where`.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ComponentError(f"{where} is no valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ComponentError(f"{where} must be a JSON object, but is {str(value)[:60]}")
    return value
