"""Provenance of a bundle's weights: the run of each part, what it has heard, and what it cost.

`provenance.json` lies beside the weights, so that a model card can be written where the runs are
not. Bundles of before have none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.corpus.provenance import CorpusProvenance, parse_corpora, read_corpora
from gsv2.files import write_atomically
from gsv2.inference.bundle_description import BundleError
from gsv2.training.checkpoints.checkpoint import STATE
from gsv2.training.checkpoints.restore import read_record
from gsv2.training.run_folder.folder import read_environment

FILE = "provenance.json"
_FORMAT_VERSION = 1
_MAX_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class PartProvenance:
    """How a part was trained."""

    run: str
    """Name of the run folder."""
    step: int
    """Optimizer steps done."""
    clips_seen: int
    """Clips trained on, each as often as it was read: the ledger's sum."""
    hours_seen: Mapping[str, float]
    """Language -> hours trained on."""
    wall_hours: float
    """Wall time, over all launches."""
    ranks: int | None
    """Processes of the last launch; None = not known."""
    device: str | None
    """Name of the GPU, or `cpu`."""
    corpora: tuple[CorpusProvenance, ...] | None
    """Corpora that it has read; None = not known."""

    @property
    def device_hours(self) -> float:
        """Wall time of all processes."""
        return self.wall_hours * (self.ranks or 1)


def collect_provenance(sources: Mapping[str, Path]) -> dict[str, PartProvenance]:
    """Return kind of the part -> how it was trained, for those of which it is known.

    Args:
        sources: kind -> file in a checkpoint, or in a bundle.

    Raises:
        ValueError: what lies beside a file is damaged.
    """
    found = {}
    for kind, file in sources.items():
        if (file.parent / STATE).is_file():
            found[kind] = _of_checkpoint(file.parent)
        elif (of := read_provenance(file.parent).get(kind)) is not None:
            found[kind] = of
    return found


def write_provenance(bundle: Path, parts: Mapping[str, PartProvenance]) -> None:
    """Write `provenance.json` into a bundle."""
    described = {kind: asdict(part) for kind, part in parts.items()}
    text = json.dumps({"format_version": _FORMAT_VERSION, "parts": described}, indent=2)
    write_atomically(bundle / FILE, text + "\n")


def read_provenance(bundle: Path) -> dict[str, PartProvenance]:
    """Return kind of the part -> how it was trained; nothing of a bundle that does not know.

    Raises:
        BundleError: the file is damaged, or of another format.
    """
    path = bundle / FILE
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"it must have at most {_MAX_BYTES} bytes")
        values = json.loads(path.read_bytes())
        if values["format_version"] != _FORMAT_VERSION:
            raise ValueError(f"its format must be {_FORMAT_VERSION}")
        return {kind: _parse(kind, of) for kind, of in values["parts"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BundleError(f"{path} holds no provenance of a bundle: {error!r}") from error


def _of_checkpoint(folder: Path) -> PartProvenance:
    run, state = folder.parent.parent, read_record(folder)["run"]
    environment = read_environment(run)
    corpora = read_corpora(run)
    return PartProvenance(
        run=run.resolve().name,
        step=state["step"],
        clips_seen=state["samples_seen"],
        hours_seen={
            name: samples / SAMPLE_RATE / 3600
            for name, samples in sorted(state.get("audio_seen", {}).items())
        },
        wall_hours=state["time_sec"] / 3600,
        ranks=environment.get("ranks"),
        device=environment.get("device"),
        corpora=None if corpora is None else tuple(corpora),
    )


def _parse(kind: str, values: dict[str, Any]) -> PartProvenance:
    kinds = {"run": str, "step": int, "clips_seen": int, "hours_seen": dict, "wall_hours": float}
    optional = {"ranks": int, "device": str, "corpora": list}
    if values.keys() != {field.name for field in fields(PartProvenance)}:
        raise ValueError(f"{kind} must have {', '.join([*kinds, *optional])} and no more")
    for key, wanted in {**kinds, **optional}.items():
        if not isinstance(values[key], wanted) and (key in kinds or values[key] is not None):
            raise ValueError(f"{kind}.{key} must be of type {wanted.__name__}")
    corpora = values["corpora"]
    return PartProvenance(
        **{
            **values,
            "hours_seen": {str(name): float(of) for name, of in values["hours_seen"].items()},
            "corpora": corpora and tuple(parse_corpora(corpora, f"{kind}.corpora")),
        }
    )
