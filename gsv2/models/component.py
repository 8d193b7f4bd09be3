"""A trained part as one self-describing safetensors file.

The header carries the kind, the config and what the part was trained on, so that checkpoints,
frozen quantizers and bundles are one format and nothing is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

ConfigT = TypeVar("ConfigT")

_HEADER = "gsv2"
"""Metadata key of the safetensors file."""


class ComponentError(ValueError):
    """A component file that is missing, damaged or of another kind."""


@dataclass(frozen=True, kw_only=True)
class Component:
    """The content of a component file."""

    kind: str
    """`quantizer`, `gpt`, `vits2` or `discriminator`."""
    config: Mapping[str, Any]
    """Plain values of the model's config dataclass."""
    provenance: Mapping[str, str]
    """What it depends on, e.g. `{"quantizer": HASH}`; empty if on nothing."""
    tensors: Mapping[str, Tensor]

    def read_config(self, schema: type[ConfigT]) -> ConfigT:
        """Return `config` as the dataclass that it was written from.

        Raises:
            ComponentError: the file knows a key that `schema` does not, or lacks one.
        """
        try:
            return build_config(schema, self.config)
        except (TypeError, ValueError) as error:
            raise ComponentError(f"config of the {self.kind} does not fit: {error}") from error


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
            header = json.loads((file.metadata() or {}).get(_HEADER, "{}"))
    except SafetensorError as error:
        raise ComponentError(f"{path} is damaged: {error}") from error
    if not header:
        raise ComponentError(f"{path} is no component file")
    return header


def load_component(path: Path, kind: str) -> Component:
    """Read a component file.

    Raises:
        ComponentError: the file is missing, damaged, or not a `kind`.
    """
    if not path.is_file():
        raise ComponentError(f"{kind} file {path} does not exist")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(_HEADER, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ComponentError(f"{path} is damaged: {error}") from error
    if header.get("kind") != kind:
        raise ComponentError(f"{path} must hold a {kind}, but holds {header.get('kind')!r}")
    return Component(tensors=tensors, **header)


def build_config(schema: Any, values: Mapping[str, Any]) -> Any:
    """Return a dataclass of dataclasses, tuples and plain values from plain values.

    Fields without a value, which a file of before they existed lacks, have their defaults.

    Raises:
        TypeError: a field without a default has no value.
        ValueError: there is no such field, or a check of the dataclass fails.
    """
    unknown = values.keys() - {field.name for field in fields(schema)}
    if unknown:
        raise ValueError(f"{schema.__name__} has no {', '.join(sorted(unknown))}")
    hints = get_type_hints(schema)
    return schema(
        **{
            name: build_config(hints[name], value) if is_dataclass(hints[name]) else _tuples(value)
            for name, value in values.items()
        }
    )


def _tuples(value: Any) -> Any:
    """Turn JSON's lists back into tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
