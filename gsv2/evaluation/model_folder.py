"""Folders of pretrained models, which transformers loads without a network."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any


def load_folder(cls: Any, folder: Path) -> Any:
    """Return `cls.from_pretrained` of a folder.

    Raises:
        ValueError: no such folder, or one that the class cannot load; names it.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} must be a folder with a pretrained model, but is none")
    try:
        return cls.from_pretrained(str(folder), local_files_only=True)
    except (OSError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{folder} cannot be loaded as {cls.__name__}: {reason}") from error


def folder_identity(kind: str, folder: Path) -> str:
    """Return a name for the model in a folder: its files with their sizes, and its config."""
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)} {path.stat().st_size}".encode())
    return f"{kind} {folder.resolve().name} {digest.hexdigest()[:16]}"
