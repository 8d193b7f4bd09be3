"""Bundle: the folder of weights that training exports and that speaks.

A folder with one component file a part (`quantizer`, `gpt`, `vits2`, perhaps `aligner`) and
`bundle.json`, which names the hash of every file and of the quantizer that all parts share; beside
them `provenance.json`, how each part was trained.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from gsv2.files import ASIDE, replace_folder
from gsv2.inference.bundle_description import (
    FILE,
    BundleDescription,
    BundleError,
    read_bundle_description,
    write_description,
)
from gsv2.inference.bundle_parts import PARTS, check_parts, described_encoders
from gsv2.inference.bundle_provenance import collect_provenance, write_provenance
from gsv2.inference.bundle_sources import find_sources
from gsv2.inference.onnx_export import check_exportable, export_graphs
from gsv2.inference.reading import HeldOutReading
from gsv2.models.component import Component, ComponentError, load_component, save_component
from gsv2.models.gpt.lora import merge_adapters
from gsv2.models.gpt.model import GPTConfig, SemanticGPT
from gsv2.models.vits2.folded_norms import fold_weight_norms
from gsv2.models.vits2.model import VITS2
from gsv2.text.encoders.config import QWEN2, TOKENIZER
from gsv2.training.checkpoints.checkpoint import STATE

__all__ = ["PARTS", "BundleError", "export_bundle", "load_bundle"]

_TRIES = 100
"""Times that a bundle is put into its place while others put theirs there."""


def export_bundle(
    runs: Sequence[Path], out: Path, *, averaged: bool | None = None, with_graphs: bool = False
) -> Path:
    """Gather the newest weights of `runs` into a bundle.

    Several processes may export to one place: each builds a folder of its own, and the last one
    to finish stays. What killed ones have left aside goes.

    Args:
        runs: run folders (or checkpoints) that hold a quantizer, a GPT and a VITS2 together, and
            an aligner, without which a GPT that reads by a pointer cannot speak; or a VITS2 alone
            that reads text.
        out: folder to write; an older bundle there is replaced.
        averaged: whether to take the moving averages of the weights (`optim.NAME.ema_decay`):
            True = of the GPT and VITS2, False = of none, None = of those that have them.
        with_graphs: whether to write ONNX graphs too, see `gsv2.inference.onnx_export`.

    Returns:
        `out`.

    Raises:
        BundleError: a part is missing, there twice or damaged, the parts were trained on
            different quantizers, or `out` holds something else.
        ExportError: graphs are asked for, and cannot be made.
    """
    _check_place(out)
    sources = find_sources(runs, averaged)
    if with_graphs:
        check_exportable(sources)
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = _make_aside(out)
    try:
        _fill(aside, sources, with_graphs=with_graphs)
        _put_in_place(aside, out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return out


def load_bundle(path: Path) -> dict[str, Component]:
    """Read a bundle; check its hashes, its parts and that they belong together.

    Returns:
        Kind of the part -> component, for every kind in `PARTS`, and the others that it has; of a
        bundle whose waveform model reads text, `vits2` alone.

    Raises:
        BundleError: no bundle there, another format, a file that is missing or damaged, or parts
            of different quantizers; the message names the file and the key.
    """
    description = read_bundle_description(path)
    for name, digest in description.files.items():
        if not (path / name).is_file():
            raise BundleError(f"{path}: {name} is missing")
        if _sha256(path / name) != digest:
            raise BundleError(f"{path}: {name} is damaged: its SHA-256 is not the recorded one")
    kinds = [Path(name).stem for name in description.files if name.endswith(".safetensors")]
    components = {kind: load_component(path / f"{kind}.safetensors", kind) for kind in kinds}
    quantizer = _checked(components)
    if quantizer != description.quantizer:
        raise BundleError(
            f"{path}: quantizer in bundle.json must be that of its parts ({quantizer}), "
            f"but is {description.quantizer!r}"
        )
    return components


def check_has_gpt(path: str | Path, components: Mapping[str, Component]) -> None:
    """Check that a bundle speaks the codes of a GPT.

    Raises:
        BundleError: its waveform model reads text.
    """
    if "gpt" not in components:
        raise BundleError(
            f"{path} has no GPT: its waveform model reads text itself; "
            "gsv2.inference.open_synthesizer.open_synthesizer speaks with it"
        )


def _make_aside(out: Path) -> Path:
    """Return an empty folder beside `out`, and remove those of processes that are gone."""
    beginning = f"{ASIDE}{out.name}-{socket.gethostname()}-"
    for folder in out.parent.glob(f"{glob.escape(beginning)}*"):
        pid = folder.name.removeprefix(beginning).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{beginning}{os.getpid()}-", dir=out.parent))


def _fill(folder: Path, sources: Mapping[str, Path], *, with_graphs: bool) -> None:
    """Write a bundle into an empty folder."""
    components = {}
    for kind, path in sources.items():
        # What was copied is checked, and not what it was copied from: a run may go on meanwhile.
        copy = folder / f"{kind}.safetensors"
        shutil.copyfile(path, copy)
        components[kind] = _without_adapters(copy, load_component(copy, kind, path))
    quantizer = _checked(components)
    vits2 = _fold(components["vits2"], folder / "vits2.safetensors")
    if "gpt" in sources:
        _copy_tokenizer(folder, components["gpt"])
    if with_graphs:
        export_graphs(SemanticGPT.from_component(components["gpt"]), vits2, folder)
    files = {file.name: _sha256(file) for file in sorted(folder.iterdir())}
    reading = _reading_of(sources["gpt"]) if "gpt" in sources else None
    description = BundleDescription(
        quantizer=quantizer, files=files, reading=reading, **described_encoders(components)
    )
    write_description(folder, description)
    write_provenance(folder, collect_provenance(sources))
    folder.chmod(_plain_mode(folder))


def _copy_tokenizer(folder: Path, gpt: Component) -> None:
    """Copy the tokenizer that a GPT reads with, if it has one, so that the bundle speaks alone.

    Raises:
        BundleError: it is not where the GPT was trained with it, or another one.
    """
    config = gpt.read_config(GPTConfig)
    if config.text_encoder == QWEN2:
        try:
            shutil.copyfile(config.tokenizer.find(), folder / TOKENIZER)
        except ValueError as error:
            raise BundleError(str(error)) from error


def _fold(vits2: Component, file: Path) -> VITS2:
    """Write a waveform model as it only speaks, without its weight norms; return it."""
    model = fold_weight_norms(VITS2.from_component(vits2))
    save_component(file, model, kind=vits2.kind, config=vits2.config, provenance=vits2.provenance)
    return model


def _without_adapters(file: Path, component: Component) -> Component:
    """Return a component whose adapters, if it has any, are merged, in its file too."""
    merged = merge_adapters(component)
    if merged is not component:
        gpt = SemanticGPT.from_component(merged)
        about: dict[str, Any] = {"config": merged.config, "provenance": merged.provenance}
        save_component(file, gpt, kind=merged.kind, **about)
    return merged


def _reading_of(gpt: Path) -> HeldOutReading | None:
    """Return what the last validation heard of a GPT, by what lies beside its file."""
    if (gpt.parent / FILE).is_file():
        return read_bundle_description(gpt.parent).reading
    state = gpt.parent / STATE
    if not state.is_file():
        return None
    try:
        return HeldOutReading.from_record(json.loads(state.read_bytes()).get("values", {}))
    except (ValueError, AttributeError, RecursionError) as error:
        raise BundleError(f"{state} is damaged: {error}") from error


def _checked(components: dict[str, Component]) -> str | None:
    """Return the hash of the quantizer of parts that belong together, if they have one."""
    try:
        return check_parts(components)
    except ComponentError as error:
        raise BundleError(str(error)) from error


def _check_place(out: Path) -> None:
    """Refuse to write over anything but a bundle."""
    if out.exists() and not out.is_dir():
        raise BundleError(f"{out} is no folder; choose another name")
    if out.exists() and any(out.iterdir()) and not (out / "bundle.json").is_file():
        raise BundleError(f"{out} exists and is not a bundle; choose another folder")


def _put_in_place(aside: Path, out: Path) -> None:
    """Rename `aside` to `out`; what was there goes."""
    for _ in range(_TRIES):
        try:
            replace_folder(aside, out)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise
        else:
            return
        _check_place(out)
    raise BundleError(f"{out} was replaced by others {_TRIES} times; are there so many exports?")


def _plain_mode(folder: Path) -> int:
    """Return the rights that a new folder has here; a temporary one is its owner's alone."""
    probe = folder / "mode"
    probe.mkdir()
    mode = probe.stat().st_mode
    probe.rmdir()
    return mode


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
