"""Pretrained weights in folders, from a disk or a hub: found, identified, loaded.

Only safetensors are read: other formats are pickles, which may run anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
_WEIGHTS_INDEX = "model.safetensors.index.json"
_PICKLE = "pytorch_model.bin"
_FREE_SETTINGS = frozenset(
    {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"}
)
"""Settings of a config.json that change no feature."""
_MAY_BE_MISSING = frozenset({"masked_spec_embed"})
"""Weights that only pretraining reads."""
_HASH_LENGTH = 16
"""Hexadecimal digits of a hash."""


@dataclass(frozen=True, kw_only=True)
class PretrainedSource:
    """Where pretrained weights are looked for, and what must lie there."""

    name: str
    """Name of the encoder in messages."""
    source: str
    """Folder, or id on a hub."""
    published: str
    """Id under which its authors publish it."""
    files: tuple[str, ...]
    """Files beside config.json and the weights that decide what it computes."""
    key: str
    """Config key that names the folder."""

    @property
    def wanted(self) -> str:
        """All files, in words."""
        return f"{', '.join((CONFIG, *self.files))} and {WEIGHTS}"

    def find(self) -> Path:
        """Return the folder of the weights; from a hub, they are fetched once.

        Raises:
            ValueError: one line with the files that are missing and the folder to put them in.
        """
        folder = Path(self.source)
        if not folder.is_dir():
            folder = self._fetch()
        missing = [name for name in (CONFIG, *self.files) if not (folder / name).is_file()]
        if not weight_files(folder):
            if (folder / _PICKLE).is_file():
                raise ValueError(
                    f"{folder} holds {_PICKLE}, a pickle, which is never loaded; make {WEIGHTS} "
                    "of it once, as docs/add-an-encoder.md shows, if you trust it"
                )
            missing.append(WEIGHTS)
        if missing:
            raise ValueError(
                f"{folder} must hold {self.wanted} of {self.name} ({self.published}), but lacks "
                f"{', '.join(missing)}"
            )
        return folder

    def hash(self, folder: Path) -> str:
        """Return the hash of what a network computes with: settings, other files and weights."""
        settings = read_json(folder / CONFIG)
        decisive = {key: value for key, value in settings.items() if key not in _FREE_SETTINGS}
        digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode())
        for file in (*(folder / name for name in self.files), *weight_files(folder)):
            state = file.stat()
            digest.update(_file_hash(file, state.st_size, state.st_mtime_ns).encode())
        return digest.hexdigest()[:_HASH_LENGTH]

    def check(self, folder: Path, known: str | None) -> None:
        """Check that a folder holds the weights of a known hash; None = any.

        Raises:
            ValueError: it holds others; names both.
        """
        if known is not None and (found := self.hash(folder)) != known:
            raise ValueError(
                f"{folder} must hold the {self.name} of hash {known} ({self.source}), "
                f"but holds that of {found}"
            )

    def _fetch(self) -> Path:
        """Return the cached folder of a hub id, after fetching what is not there yet."""
        from transformers.utils import cached_file

        try:
            with quiet_transformers():
                for name in (*self.files, CONFIG):
                    file = cached_file(self.source, name)
                whole = cached_file(
                    self.source, WEIGHTS, _raise_exceptions_for_missing_entries=False
                )
                if whole is None:
                    index = cached_file(self.source, _WEIGHTS_INDEX)
                    for shard in sorted(set(read_json(Path(index))["weight_map"].values())):
                        cached_file(self.source, shard)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{self.source} is no folder here and cannot be fetched from a hub; put "
                f"{self.wanted} of {self.published} into a folder and name it: {self.key}=FOLDER"
            ) from error
        return Path(file).parent


def load_network(cls: Any, folder: Path, settings: Any, **options: Any) -> Any:
    """Return `cls.from_pretrained` of a folder, frozen, in fp32, with every weight from there.

    Args:
        cls: class of transformers.
        folder: folder of the weights, as `PretrainedSource.find` returns it.
        settings: its config, perhaps changed.
        options: keyword arguments of the class.

    Raises:
        ValueError: the class cannot load it, or a weight is missing; names the folder.
    """
    import torch

    with quiet_transformers():
        try:
            network, report = cls.from_pretrained(
                str(folder),
                config=settings,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                **options,
            )
        except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{folder} cannot be loaded as {cls.__name__}: {reason}") from error
    if missing := sorted(set(report["missing_keys"]) - _MAY_BE_MISSING):
        raise ValueError(
            f"{folder} is no {cls.__name__}: its weights lack {missing[0]} and "
            f"{len(missing) - 1} others"
        )
    return network.requires_grad_(False).eval()


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' reports and bars of loading from the terminal; errors still raise."""
    from transformers.utils import logging

    level, had_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if had_bar:
            logging.enable_progress_bar()


def read_json(file: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        ValueError: there is none; names the file.
    """
    try:
        values = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is no valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{file} must hold a JSON object")
    return values


def weight_files(folder: Path) -> list[Path]:
    """Return the files of the weights that are all there; [] if one is missing."""
    index = folder / _WEIGHTS_INDEX
    names = [WEIGHTS]
    if not (folder / WEIGHTS).is_file() and index.is_file():
        names = sorted({str(name) for name in read_json(index).get("weight_map", {}).values()})
    files = [folder / name for name in names]
    return files if all(file.is_file() for file in files) else []


@lru_cache(maxsize=64)
def _file_hash(file: Path, size: int, modified_ns: int) -> str:
    """Return the SHA-256 of a file, read once for each state that it has."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
