"""Files of a bundle's parts, sought among runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gsv2.inference.bundle_description import FILE, BundleError
from gsv2.inference.bundle_parts import OPTIONAL_PARTS, PARTS, TEXT_PARTS
from gsv2.models.component import read_description
from gsv2.training.checkpoints.checkpoint import CheckpointMissingError, find_component
from gsv2.training.ema import EMA_SUFFIX


def find_sources(runs: Sequence[Path], averaged: bool | None) -> dict[str, Path]:
    """Return kind -> file of every part that a bundle of these runs has.

    Args:
        runs: run folders, checkpoints or bundles.
        averaged: whether to take the moving averages of the weights, see `export_bundle`.

    Raises:
        BundleError: a part is missing, or there twice.
        ComponentError: a damaged file.
    """
    if _find_named(runs, "quantizer", PARTS["quantizer"], required=False) is None:
        wave = _find_named(runs, "vits2", PARTS["vits2"], required=False)
        if wave is not None and read_description(wave)["config"].get("prior") == "text":
            return {kind: _find_part(runs, kind, averaged) for kind in TEXT_PARTS}
    sources = {kind: _find_part(runs, kind, averaged) for kind in PARTS}
    for kind, name in OPTIONAL_PARTS.items():
        if (file := _find_named(runs, kind, name, required=False)) is not None:
            sources[kind] = file
    return sources


def _find_part(runs: Sequence[Path], kind: str, averaged: bool | None) -> Path:
    """Return the one file of `kind` among the runs; a damaged one is an error, never passed by."""
    last = _find_named(runs, kind, PARTS[kind])
    assert last is not None, "a required part is found, or an error"
    if kind == "quantizer" or averaged is False:
        return last
    file = last.with_name(f"{PARTS[kind]}{EMA_SUFFIX}.safetensors")
    if not file.is_file():
        if averaged:
            raise BundleError(f"{last.parent} holds no average of the weights of the {kind}")
        return last
    return find_component(file.parent, file.name.removesuffix(".safetensors"))  # checks it


def _find_named(
    runs: Sequence[Path], kind: str, name: str, *, required: bool = True
) -> Path | None:
    """Return the one file of `kind`, which runs name `NAME.safetensors`; None if there may be none.

    In a bundle it has the name of its kind.
    """
    found = []
    for run in runs:
        if not run.exists():
            raise BundleError(f"run {run} does not exist")
        try:
            found.append(find_component(run, kind if (run / FILE).is_file() else name))
        except CheckpointMissingError:
            continue
    if not found and not required:
        return None
    if len(found) != 1:
        named = ", ".join(map(str, found or runs))
        raise BundleError(f"exactly one run must hold a {kind}, but {len(found)} do: {named}")
    return found[0]
