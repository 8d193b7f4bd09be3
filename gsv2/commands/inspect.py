"""`gsv2 inspect`: what a bundle or a voice file holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from gsv2.commands.terminal import print_json, print_table

_DIGITS = 16
"""Digits of a hash that the table shows."""


def inspect(
    path: Annotated[Path, typer.Argument(help="bundle folder, or NAME.voice.safetensors")],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Show the parts of a bundle, their sizes and hashes, and what was heard of it; or a voice.

    Every file is read to its end and compared with its hash.

    Example: `gsv2 inspect runs/quickstart/bundle`
    """
    from gsv2.inference.voice_file import is_voice_file

    found = _inspect_voice(path) if is_voice_file(path) else _inspect_bundle(path)
    if as_json:
        print_json(found)
        return
    for key, value in found.items():
        if key != "parts":
            typer.echo(f"{key}: {value}")
    if "parts" in found:
        print_table(_table(found["parts"]))


def _inspect_bundle(path: Path) -> dict[str, Any]:
    from gsv2.inference.bundle import load_bundle
    from gsv2.inference.bundle_description import read_bundle_description

    components = load_bundle(path)
    description = read_bundle_description(path)
    found: dict[str, Any] = {"bundle": str(path)}
    if (gpt := components.get("gpt")) is not None:
        codes = gpt.config["codes"]
        found["quantizer"] = description.quantizer
        found["codes"] = f"{codes['groups']} x {codes['levels']} of {codes['codebook_size']}"
        found["reading"] = gpt.config.get("reading", "attention")
        heard = description.reading
        found["heard"] = "nobody has listened" if heard is None else str(heard)
    for name in ("speech_encoder", "text_encoder"):
        if (encoder := getattr(description, name)) is not None:
            found[name] = f"{encoder['name']} ({encoder['source']})"
    found["parts"] = [
        {
            "part": kind,
            "values": sum(tensor.numel() for tensor in component.tensors.values()),
            "bytes": (path / f"{kind}.safetensors").stat().st_size,
            "sha256": description.files[f"{kind}.safetensors"],
        }
        for kind, component in components.items()
    ]
    return found


def _inspect_voice(path: Path) -> dict[str, Any]:
    from gsv2.inference.voice_file import load_voice

    voice = load_voice(path)
    return {
        "voice": voice.notes.name,
        "licence": voice.notes.licence,
        "consent": voice.notes.consent,
        "quantizer": voice.origin.quantizer,
        "vits2": voice.origin.vits2,
        "recordings": len(voice.references),
        "weights": [round(reference.weight, 6) for reference in voice.references],
        "pitches": [f"{reference.pitch_hz:.0f} Hz" for reference in voice.references],
        "transcripts": [r.prompt.text if r.prompt else None for r in voice.references],
    }


def _table(parts: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE)
    for name in ("part", "values", "MB", "SHA-256"):
        table.add_column(name)
    for cells in _cells(parts):
        table.add_row(*cells)
    return table


def _cells(parts: list[dict[str, Any]]) -> Iterator[list[str]]:
    for part in parts:
        size = f"{part['bytes'] / 1e6:.2f}"
        yield [part["part"], f"{part['values']:,}", size, part["sha256"][:_DIGITS]]
