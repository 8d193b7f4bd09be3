"""Checkpoint files of GPT-SoVITS, versions 1 and 2: tensors and settings, and nothing else.

Such a file is a pickle, which may run anything when it is read plainly. Here torch reads it with
`weights_only`: tensors, numbers, texts and containers; one class is known besides, that of the
settings, and stands for a bare object without any code.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

_WEIGHT_KEYS = ("weight", "model")
"""Where the tensors lie: in a published file, in a checkpoint of a training."""
_SETTINGS_CLASSES = ("utils.HParams", "GPT_SoVITS.utils.HParams")
_ZIP_START = b"PK"


class SoVITSFile(NamedTuple):
    """The content of a checkpoint."""

    tensors: Mapping[str, Tensor]
    """Name -> float32."""
    settings: Any
    """Its `config`: mappings, or objects with attributes; None if it has none."""

    def setting(self, key: str) -> Any:
        """Return a value of the settings' section `model`; None if they do not have it."""
        return _get(_get(self.settings, "model"), key)


class _Settings:
    """Object that settings are put into."""


def read_sovits_file(path: Path) -> SoVITSFile:
    """Read a checkpoint.

    Raises:
        ValueError: no such file, no checkpoint, or one that holds more than tensors and settings;
            names the file.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist")
    content = path.read_bytes()
    if content[:2].isdigit():  # some releases write their version over the first two bytes
        content = _ZIP_START + content[2:]
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise ValueError(f"{path} is no checkpoint of torch, or is cut")
    known: Any = [(_Settings, name) for name in _SETTINGS_CLASSES]
    try:
        with torch.serialization.safe_globals(known):
            found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise ValueError(
            f"{path} is no checkpoint of tensors and settings alone, and is not read: {reason}"
        ) from error
    weights = next((found[key] for key in _WEIGHT_KEYS if _has(found, key)), None)
    if not isinstance(weights, Mapping) or not weights:
        raise ValueError(f"{path} holds no weights: it must have one of {_WEIGHT_KEYS}")
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor) or not bool(tensor.isfinite().all()):
            raise ValueError(f"{path}: {name} must be a tensor of finite numbers, but is not")
    tensors = {str(name): tensor.float() for name, tensor in weights.items()}
    return SoVITSFile(tensors, found.get("config"))


def whole_weight(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    """Return the weight of a layer, of its norm and direction where it is kept as these.

    Raises:
        ValueError: it has none; names it.
    """
    norm, direction = tensors.get(f"{name}.weight_g"), tensors.get(f"{name}.weight_v")
    if norm is not None and direction is not None:
        length = direction.flatten(1).norm(dim=1).view(-1, *[1] * (direction.ndim - 1))
        return direction * (norm / length)
    if (weight := tensors.get(f"{name}.weight")) is None:
        raise ValueError(f"the checkpoint has no {name}.weight; is it one of GPT-SoVITS v1 or v2?")
    return weight


def _has(found: Any, key: str) -> bool:
    return isinstance(found, Mapping) and key in found


def _get(settings: Any, key: str) -> Any:
    if isinstance(settings, Mapping):
        return settings.get(key)
    return getattr(settings, key, None) if isinstance(settings, _Settings) else None
