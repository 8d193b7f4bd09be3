"""Copy of a bundle that an earlier build of gsv2 can read: without config keys of a default value.

A key that was added since is unknown there, and at its default it changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file

from gsv2.models.aligner.model import AlignerConfig
from gsv2.models.component import load_component
from gsv2.models.gpt.model import GPTConfig
from gsv2.models.quantizer.model import QuantizerConfig
from gsv2.models.vits2.config import VITS2Config

_SCHEMAS: dict[str, Any] = {
    "quantizer": QuantizerConfig,
    "gpt": GPTConfig,
    "vits2": VITS2Config,
    "aligner": AlignerConfig,
}


def copy_for_older(bundle: Path, out: Path) -> Path:
    """Write the copy; return its folder."""
    shutil.copytree(bundle, out)
    described = json.loads((out / "bundle.json").read_text())
    for name in described["files"]:
        kind = name.removesuffix(".safetensors")
        if kind in _SCHEMAS:
            _write(out / name, without_defaults(load_component(out / name, kind), kind))
        described["files"][name] = hashlib.sha256((out / name).read_bytes()).hexdigest()
    (out / "bundle.json").write_text(json.dumps(described))
    return out


def without_defaults(component: Any, kind: str) -> dict[str, Any]:
    """Return the config of a component as plain values, those alone that are no defaults."""
    return _changed(component.read_config(_SCHEMAS[kind]))


def _changed(config: Any) -> dict[str, Any]:
    changed = {}
    for field in fields(config):
        value = getattr(config, field.name)
        made = field.default_factory() if field.default_factory is not MISSING else field.default
        if value != made:
            changed[field.name] = _changed(value) if is_dataclass(value) else value
    return changed


def _write(file: Path, config: dict[str, Any]) -> None:
    with safe_open(file, "pt") as opened:
        metadata = {name: json.loads(text) for name, text in opened.metadata().items()}
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}
    for about in metadata.values():
        about["config"] = config
    save_file(tensors, file, {name: json.dumps(about) for name, about in metadata.items()})
