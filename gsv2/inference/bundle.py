"""The bundle: what training exports and what speaks.

A folder with one component file a part (`quantizer`, `gpt`, `vits2`) and `bundle.json`, which
names the hash of every file and of the quantizer that all parts share.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from gsv2 import __version__
from gsv2.models.component import Component, load_component
from gsv2.training.checkpoints.checkpoint import CheckpointMissingError, find_component
from gsv2.training.ema import EMA_SUFFIX

BUNDLE_VERSION = 1
PARTS = {"quantizer": "quantizer", "gpt": "gpt", "vits2": "generator"}
"""Kind of a part -> name of the trainable that holds it in a run."""


class BundleError(ValueError):
    """A bundle that cannot be made or read."""


def export_bundle(runs: Sequence[Path], out: Path, *, averaged: bool | None = None) -> Path:
    """Gather the newest weights of `runs` into a bundle.

    Args:
        runs: run folders (or checkpoints) that hold a quantizer, a GPT and a VITS2 together.
        out: folder to write; an older bundle there is replaced.
        averaged: whether to take the moving averages of the weights (`optim.NAME.ema_decay`):
            True = of the GPT and VITS2, False = of none, None = of those that have them.

    Returns:
        `out`.

    Raises:
        BundleError: a part is missing or there twice, the parts were trained on different
            quantizers, or `out` holds something else.
    """
    if out.exists() and any(out.iterdir()) and not (out / "bundle.json").is_file():
        raise BundleError(f"{out} exists and is not a bundle; choose another folder")
    sources = {kind: _find_part(runs, kind, averaged) for kind in PARTS}
    components = {kind: load_component(path, kind) for kind, path in sources.items()}
    quantizer_hash = _shared_quantizer(components, sources)

    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.with_name(f".tmp-{out.name}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    for kind, path in sources.items():
        shutil.copyfile(path, aside / f"{kind}.safetensors")
    files = {f"{kind}.safetensors": _sha256(aside / f"{kind}.safetensors") for kind in PARTS}
    description = {
        "format_version": BUNDLE_VERSION,
        "gsv2_version": __version__,
        "quantizer": quantizer_hash,
        "files": files,
    }
    (aside / "bundle.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    if out.exists():
        shutil.rmtree(out)
    aside.rename(out)
    return out


def load_bundle(path: Path) -> dict[str, Component]:
    """Read a bundle and check its hashes.

    Returns:
        Kind of the part -> component, for every kind in `PARTS`.

    Raises:
        BundleError: no bundle there, another format, or a file that is missing or damaged.
    """
    description_path = path / "bundle.json"
    if not description_path.is_file():
        raise BundleError(f"{path} is not a bundle: it has no bundle.json (make one: gsv2 export)")
    description = json.loads(description_path.read_text(encoding="utf-8"))
    version = description["format_version"]
    if version != BUNDLE_VERSION:
        raise BundleError(f"{path}: bundle format must be {BUNDLE_VERSION}, but is {version}")
    for name, digest in description["files"].items():
        if not (path / name).is_file():
            raise BundleError(f"{path}: {name} is missing")
        if _sha256(path / name) != digest:
            raise BundleError(f"{path}: {name} is damaged: its SHA-256 is not the recorded one")
    return {kind: load_component(path / f"{kind}.safetensors", kind) for kind in PARTS}


def _find_part(runs: Sequence[Path], kind: str, averaged: bool | None) -> Path:
    """Return the one file of `kind` among the runs; a damaged one is an error, never passed by."""
    last = _find_named(runs, kind, PARTS[kind])
    if kind == "quantizer" or averaged is False:
        return last
    file = last.with_name(f"{PARTS[kind]}{EMA_SUFFIX}.safetensors")
    if not file.is_file():
        if averaged:
            raise BundleError(f"{last.parent} holds no average of the weights of the {kind}")
        return last
    return find_component(file.parent, file.name.removesuffix(".safetensors"))  # checks it


def _find_named(runs: Sequence[Path], kind: str, name: str) -> Path:
    """Return the one file `NAME.safetensors` among the runs."""
    found = []
    for run in runs:
        if not run.exists():
            raise BundleError(f"run {run} does not exist")
        try:
            found.append(find_component(run, name))
        except CheckpointMissingError:
            continue
    if len(found) != 1:
        named = ", ".join(map(str, found or runs))
        raise BundleError(f"exactly one run must hold a {kind}, but {len(found)} do: {named}")
    return found[0]


def _shared_quantizer(components: dict[str, Component], sources: dict[str, Path]) -> str:
    """Return the hash of the quantizer that every part was trained on."""
    hashes = {kind: part.provenance.get("quantizer", "none") for kind, part in components.items()}
    if len(set(hashes.values())) != 1:
        listed = "; ".join(f"{kind} ({sources[kind]}): {hashes[kind]}" for kind in hashes)
        raise BundleError(f"all parts must be trained on the same quantizer, but are not: {listed}")
    return hashes["quantizer"]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
