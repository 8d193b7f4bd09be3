"""Bundles of the Hugging Face Hub, by the names of their repositories; they stay in its cache."""

from __future__ import annotations

import re
from pathlib import Path

from gsv2.inference.bundle_description import FILE, FILES, OPTIONAL_FILES, BundleError

PREFIX = "hf://"
"""Beginning of a name that means a repository, also where a folder has that name."""
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def repository_of(name: str) -> str | None:
    """Return `OWNER/NAME` of a name that means a repository: `hf://OWNER/NAME`, or no folder here.

    Raises:
        ValueError: what follows `hf://` is no name of a repository.
    """
    said = name.removeprefix(PREFIX)
    fits = _REPOSITORY.fullmatch(said) is not None
    if name.startswith(PREFIX) and not fits:
        raise ValueError(f"a repository must be {PREFIX}OWNER/NAME, but is {name!r}")
    return said if fits and (name.startswith(PREFIX) or not Path(name).exists()) else None


def find_bundle(name: str | Path, revision: str | None = None) -> Path:
    """Return the folder of a bundle, which is fetched if it is one of the hub.

    Args:
        name: folder, or repository, as `repository_of` tells.
        revision: commit, branch or tag of the repository; None = the newest.

    Raises:
        BundleError: it cannot be fetched.
    """
    repository = repository_of(str(name))
    if repository is None:
        if revision is not None:
            raise BundleError(f"{name} is a folder, which has no revision {revision!r}")
        return Path(name)
    from huggingface_hub import snapshot_download

    wanted = [*FILES, *OPTIONAL_FILES, "*.json"]
    try:
        folder = Path(snapshot_download(repository, revision=revision, allow_patterns=wanted))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise BundleError(
            f"{name} is no folder, and no bundle of the hub came: {reason}"
        ) from error
    if not (folder / FILE).is_file():
        raise BundleError(f"{PREFIX}{repository} is not a bundle: it has no {FILE}")
    return folder
