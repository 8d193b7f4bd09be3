"""Libraries that are installed but cannot be loaded, such as a torchaudio for another torch."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib import metadata

NATIVE = ("torch", "torchaudio", "soundfile", "transformers")
"""What comes with compiled code, or loads such a package; each after what it is built for."""
RECORDED = (
    "torch", "torchaudio", "accelerate", "deepspeed", "transformers", "vector-quantize-pytorch",
    "numpy", "safetensors", "pyarrow", "webdataset", "wandb", "omegaconf", "soundfile", "soxr",
)  # fmt: skip
"""Packages that a run computes, talks or reads with; their versions are recorded."""
_BUILT_FOR = {"torchaudio": "torch", "transformers": "torchaudio"}


def unloadable(packages: Sequence[str] = NATIVE) -> str | None:
    """Return one line about the first package that does not load; None if all do."""
    for package in packages:
        try:
            loaded_version(package)
        except ImportError as error:
            return str(error)
    return None


def loaded_version(package: str) -> str:
    """Import a package, so that a broken installation shows, and return its version.

    Raises:
        ImportError: one line with the versions, the loader's reason and what to install.
    """
    try:
        with redirect_stdout(sys.stderr):  # DeepSpeed logs to stdout, which may be JSON here
            importlib.import_module(package.replace("-", "_"))
    except Exception as error:  # a loader raises OSError, a binding whatever it likes
        raise ImportError(_line(package, error)) from error
    return _version(package)


def recorded_versions() -> dict[str, str]:
    """Return the versions of the packages whose versions change results."""
    return {package: metadata.version(package) for package in RECORDED}


def stop_unless_loadable(program: str) -> None:
    """Leave the program with one line if a library that it needs cannot be loaded."""
    if line := unloadable():
        sys.stderr.write(f"{program}: error: {line}\n")
        raise SystemExit(1)


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
