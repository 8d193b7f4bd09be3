"""`gsv2 inspect`: what a bundle or a voice file holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from gsv2.commands.terminal import print_json, print_table

if TYPE_CHECKING:
    from gsv2.hub.model_card import CardFacts

_DIGITS = 16
"""Digits of a hash that the table shows."""


def inspect(
    path: Annotated[Path, typer.Argument(help="bundle folder, or NAME.voice.safetensors")],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Show the parts of a bundle, its data, licences, cost and evaluation; or a voice.

    Every file is read to its end and compared with its hash.

    Example: `gsv2 inspect runs/quickstart/bundle`
    """
    from gsv2.inference.voice_file import is_voice_file

    found = _inspect_voice(path) if is_voice_file(path) else _inspect_bundle(path)
    if as_json:
        print_json(found)
        return
    for key, value in found.items():
        if key not in ("parts", "provenance", "evaluation"):
            typer.echo(f"{key}: {value}")
    if "parts" in found:
        _show_bundle(found)


def _show_bundle(found: dict[str, Any]) -> None:
    parts, evaluation = found["parts"], found["evaluation"]
    print_table(_table(("part", "values", "MB", "SHA-256"), _part_cells(parts)))
    if found["provenance"]:
        cells = _provenance_cells(found["provenance"])
        print_table(_table(("part", "run", "steps", "clips heard", "hours", "read from"), cells))
    if evaluation is None:
        typer.echo("evaluation: nobody evaluated it (gsv2 evaluate --keep)")
        return
    typer.echo(f"evaluation: {evaluation['sentences']} sentences")
    for name, by_source in evaluation["figures"].items():
        counted = ", ".join(f"{source} {value}" for source, value in by_source.items())
        typer.echo(f"  {name}: {counted}")


def _inspect_bundle(path: Path) -> dict[str, Any]:
    from gsv2.hub.model_card import collect_facts
    from gsv2.inference.bundle import load_bundle

    facts = collect_facts(path, str(path))
    description = facts.description
    found: dict[str, Any] = {"bundle": str(path)}
    if (gpt := load_bundle(path).get("gpt")) is not None:
        codes = gpt.config["codes"]
        found["quantizer"] = description.quantizer
        found["codes"] = f"{codes['groups']} x {codes['levels']} of {codes['codebook_size']}"
        found["reading"] = gpt.config.get("reading", "attention")
        heard = description.reading
        found["heard"] = "nobody has listened" if heard is None else str(heard)
    for name in ("speech_encoder", "text_encoder"):
        if (encoder := getattr(description, name)) is not None:
            found[name] = f"{encoder['name']} ({encoder['source']})"
    found["hours"] = _rounded(facts.hours) if facts.corpora else "not known"
    if facts.corpora:
        found["licences"] = _rounded({k or "not named": v for k, v in facts.licences.items()})
    found["device_hours"] = _rounded(facts.device_hours) if facts.provenance else "not known"
    found["evaluation"] = _evaluation(facts)
    found["provenance"] = {kind: asdict(part) for kind, part in facts.provenance.items()}
    found["parts"] = [
        {
            "part": part.name,
            "values": part.values,
            "bytes": part.num_bytes,
            "sha256": part.sha256,
        }
        for part in facts.parts
    ]
    return found


def _evaluation(facts: CardFacts) -> dict[str, Any] | None:
    """Return figure -> source -> value with its interval, as the tables have them."""
    if facts.figures is None:
        return None
    headings, rows = facts.figures
    return {
        "sentences": facts.num_sentences,
        "figures": {
            name: {head: cell for head, cell in zip(headings[1:], cells, strict=True) if cell}
            for name, *cells in rows
        },
        "notes": list(facts.notes),
    }


def _rounded(hours: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in hours.items()}


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


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=box.SIMPLE)
    for name in headings:
        table.add_column(name, overflow="fold")
    for cells in rows:
        table.add_row(*cells)
    return table


def _part_cells(parts: list[dict[str, Any]]) -> Iterator[list[str]]:
    for part in parts:
        size = f"{part['bytes'] / 1e6:.2f}"
        yield [part["part"], f"{part['values']:,}", size, part["sha256"][:_DIGITS]]


def _provenance_cells(provenance: Mapping[str, dict[str, Any]]) -> Iterator[list[str]]:
    for kind, of in provenance.items():
        corpora = of["corpora"]
        read = "not known" if corpora is None else ", ".join(c["name"] for c in corpora)
        hours = sum(of["hours_seen"].values())
        yield [kind, of["run"], str(of["step"]), str(of["clips_seen"]), f"{hours:.2f}", read]
