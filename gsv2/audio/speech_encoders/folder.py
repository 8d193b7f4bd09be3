"""Folders of pretrained weights, from a disk or a hub: found, identified, loaded.

Only safetensors are read: other formats are pickles, which may run anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from gsv2.audio.speech_encoders.config import HUB_IDS, SpeechEncoderConfig

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"
WEIGHTS = "model.safetensors"
_WEIGHTS_INDEX = "model.safetensors.index.json"
FILES = f"{CONFIG}, {PREPROCESSOR} and {WEIGHTS}"
_PICKLE = "pytorch_model.bin"
_FREE_SETTINGS = frozenset(
    {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"}
)
"""Settings of a config.json that change no feature."""
_MAY_BE_MISSING = frozenset({"masked_spec_embed"})
"""Weights that only pretraining reads."""
_HASH_LENGTH = 16
"""Hexadecimal digits of a hash."""


def find_folder(config: SpeechEncoderConfig) -> Path:
    """Return the folder of an encoder's weights; from a hub, they are fetched once.

    Raises:
        ValueError: one line with the files that are missing and the folder to put them in.
    """
    folder = Path(config.source)
    if not folder.is_dir():
        folder = _fetch(config)
    missing = [name for name in (CONFIG, PREPROCESSOR) if not (folder / name).is_file()]
    if not _weight_files(folder):
        missing.append(WEIGHTS)
    if WEIGHTS in missing and (folder / _PICKLE).is_file():
        raise ValueError(
            f"{folder} holds {_PICKLE}, a pickle, which is never loaded; make {WEIGHTS} of it "
            "once, as docs/add-an-encoder.md shows, if you trust it"
        )
    if missing:
        raise ValueError(
            f"{folder} must hold {FILES} of {config.name} ({HUB_IDS[config.name]}), but lacks "
            f"{', '.join(missing)}"
        )
    return folder


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the content of config.json.

    Raises:
        ValueError: it is not valid.
    """
    return _read_json(folder / CONFIG)


def read_preprocessor(folder: Path) -> dict[str, Any]:
    """Return the content of preprocessor_config.json.

    Raises:
        ValueError: it is not valid.
    """
    return _read_json(folder / PREPROCESSOR)


def folder_hash(folder: Path) -> str:
    """Return the hash of what a network computes with: its weights and settings."""
    settings = {k: v for k, v in read_settings(folder).items() if k not in _FREE_SETTINGS}
    described = json.dumps([settings, read_preprocessor(folder)], sort_keys=True)
    digest = hashlib.sha256(described.encode())
    for file in _weight_files(folder):
        state = file.stat()
        digest.update(_file_hash(file, state.st_size, state.st_mtime_ns).encode())
    return digest.hexdigest()[:_HASH_LENGTH]


def check_hash(config: SpeechEncoderConfig, folder: Path) -> None:
    """Check that the weights in a folder are those that a config knows.

    Raises:
        ValueError: they are others; names both.
    """
    if config.sha256 is not None and (found := folder_hash(folder)) != config.sha256:
        raise ValueError(
            f"{folder} must hold the {config.name} of hash {config.sha256} "
            f"({config.source}), but holds that of {found}"
        )


def load_network(cls: Any, folder: Path, settings: Any = None) -> Any:
    """Return `cls.from_pretrained` of a folder, in fp32, with every weight from there.

    Args:
        cls: class of transformers.
        folder: folder as `find_folder` returns it.
        settings: config of the encoder, changed; None = as the folder has it.

    Raises:
        ValueError: the class cannot load it, or a weight is missing; names the folder.
    """
    options: dict[str, Any] = {} if settings is None else {"config": settings}
    with quiet_transformers():
        try:
            network, report = cls.from_pretrained(
                str(folder),
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


def _fetch(config: SpeechEncoderConfig) -> Path:
    """Return the cached folder of a hub id, after fetching what is not there yet."""
    from transformers.utils import cached_file

    source = config.source
    try:
        with quiet_transformers():
            for name in (CONFIG, PREPROCESSOR):
                file = cached_file(source, name)
            index = cached_file(source, WEIGHTS, _raise_exceptions_for_missing_entries=False)
            if index is None:
                index = cached_file(source, _WEIGHTS_INDEX)
                for shard in sorted(set(_read_json(Path(index))["weight_map"].values())):
                    cached_file(source, shard)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{source} is no folder here and cannot be fetched from a hub; put {FILES} of "
            f"{HUB_IDS[config.name]} into a folder and name it: "
            "model.speech_encoder.path=FOLDER"
        ) from error
    return Path(file).parent


def _weight_files(folder: Path) -> list[Path]:
    """Return the files of the weights that are all there; [] if one is missing."""
    index = folder / _WEIGHTS_INDEX
    names = [WEIGHTS]
    if not (folder / WEIGHTS).is_file() and index.is_file():
        names = sorted({str(name) for name in _read_json(index).get("weight_map", {}).values()})
    files = [folder / name for name in names]
    return files if all(file.is_file() for file in files) else []


@lru_cache(maxsize=64)
def _file_hash(file: Path, size: int, modified_ns: int) -> str:
    """Return the SHA-256 of a file, read once for each state that it has."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _read_json(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is no valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{file} must hold a JSON object")
    return values
