"""Libraries that are installed but cannot be loaded, such as a torchaudio for another torch."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib import metadata

NATIVE = ("torch", "torchaudio", "soundfile", "transformers")
"""What comes with compiled code, or loads such a package; each after what it is built for."""
_BUILT_FOR = {"torchaudio": "torch", "transformers": "torchaudio"}


def unloadable(packages: Sequence[str] = NATIVE) -> str | None:
    """Return one line about the first package that does not load; None if all do."""
    for package in packages:
        try:
            importlib.import_module(package)
        except (ImportError, OSError, RuntimeError) as error:
            return _line(package, error)
    return None


def _line(package: str, error: Exception) -> str:
    other = _BUILT_FOR.get(package)
    beside = f" beside {other} {_version(other)}" if other else ""
    reason = " ".join(str(error).split())
    return (
        f"{package} {_version(package)} cannot be loaded{beside}: {reason}; install the versions "
        "that were run together: pip install -r constraints.txt, or pip install --upgrade "
        f"{other or 'torch'} {package}"
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "(not installed)"
