"""Folders in which other libraries keep their caches, for a user whose home cannot be written.

A container often runs as a number without a name and a home, `HOME=/` or a folder of root's.
Matplotlib, Triton, Weights & Biases, transformers and torch's compiler each meet that in their
own way: a warning, a traceback at import, or one in the middle of a run.
"""

from __future__ import annotations

import getpass
import os
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

_VARIABLES = {
    "XDG_CACHE_HOME": "cache",
    "XDG_CONFIG_HOME": "config",
    "MPLCONFIGDIR": "matplotlib",
    "TRITON_HOME": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "TORCH_EXTENSIONS_DIR": "torch_extensions",
    "HF_HOME": "huggingface",
    "WANDB_CACHE_DIR": "wandb/cache",
    "WANDB_CONFIG_DIR": "wandb/config",
    "WANDB_DATA_DIR": "wandb/data",
}
"""What each library asks for its folder -> folder below ours."""


def set_cache_folders(environment: MutableMapping[str, str]) -> None:
    """Give libraries a temporary folder for their caches if the home cannot be written.

    Call it before they are imported. What is set already stays; the ranks and workers that a
    process starts inherit the folder. A user without a name gets one: torch asks for it.

    Args:
        environment: variables of the process, `os.environ`; changed.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):  # KeyError until Python 3.12
        environment.setdefault("USER", f"uid-{os.getuid()}")
    home = Path(environment.get("HOME") or os.path.expanduser("~"))
    if home.is_dir() and os.access(home, os.W_OK | os.X_OK):
        return
    folder = _own_folder()
    for name, below in _VARIABLES.items():
        environment.setdefault(name, str(folder / below))


def _own_folder() -> Path:
    """Return a folder that nobody else can write; the same one for all processes, if it can be."""
    folder = Path(tempfile.gettempdir()) / f"gsv2-caches-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:  # as something else than a folder
        return Path(tempfile.mkdtemp(prefix="gsv2-caches-"))
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        return Path(tempfile.mkdtemp(prefix="gsv2-caches-"))
    return folder
