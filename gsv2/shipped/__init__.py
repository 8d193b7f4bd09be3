"""Files shipped beside the code: configs, launch files, data tools.

A checkout has them at its root, where people look; a wheel carries them in this package
(`setup.py`). Nothing here is imported from them: they are found by path.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Literal

Kind = Literal["configs", "launch", "data_tools"]


def shipped_folder(kind: Kind) -> Path:
    """Return the folder of shipped files: this package's own in a wheel, else the checkout's."""
    own = Path(__file__).parent / kind
    return own if own.is_dir() else Path(__file__).resolve().parents[2] / kind


def shipped_configs() -> dict[str, Path]:
    """Return name -> file of every shipped config, e.g. `gpt/debug`."""
    folder = shipped_folder("configs")
    files = sorted(folder.glob("*/*.yaml"))
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in files}


def find_config(path: Path) -> Path:
    """Return the file that a run's config is named by.

    Args:
        path: a file; or a shipped config, as `gpt/debug` or as `configs/gpt/debug.yaml` where
            there is no such file.

    Raises:
        ValueError: it is neither; names the nearest shipped configs.
    """
    shipped = shipped_configs()
    name = path.as_posix().removeprefix("configs/").removesuffix(".yaml")
    if path.is_file() or (path.exists() and name not in shipped):
        return path
    found = shipped.get(name)
    if found is None:
        raise ValueError(
            f"{path} does not exist; name a YAML file or a shipped config: "
            f"{', '.join(_nearest(name, list(shipped)))} (gsv2 configs list)"
        )
    return found


def _nearest(name: str, known: list[str]) -> list[str]:
    """Return the known names that look most like a name, or all."""
    near = get_close_matches(name, known, n=2)
    return near or [one for one in known if name in one.split("/")] or known
