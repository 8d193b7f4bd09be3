"""Provenance of a run's data: which corpora it reads, of which hours, languages and licences.

Every run keeps it in `RUN/corpora.json`, so that its weights can tell it where the corpora are not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gsv2.data.config import DataConfig
from gsv2.data.corpus.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, read_manifest
from gsv2.files import write_atomically
from gsv2.storage.body import public_name
from gsv2.storage.storage import Storage

FILE = "corpora.json"
_KINDS: Mapping[str, type] = {
    "name": str,
    "sha256": str,
    "part": str,
    "clips": int,
    "speakers": int,
    "languages": dict,
    "licences": dict,
}
_SHOWN_PARTS = 2
"""Parts of a local path that are kept: the rest is of a machine."""


@dataclass(frozen=True, kw_only=True)
class CorpusProvenance:
    """A corpus that a run reads."""

    name: str
    """Last parts of its folder, or its URL without passwords."""
    sha256: str
    """SHA-256 of its corpus.json, which holds those of all shards."""
    part: str
    """Which of its clips are read: `all`, `train` or `heldout`."""
    clips: int
    speakers: int
    languages: Mapping[str, float] = field(default_factory=dict)
    """Language -> hours."""
    licences: Mapping[str, float] = field(default_factory=dict)
    """Licence -> hours; "" = its clips name none."""


def describe_corpora(data: DataConfig) -> list[CorpusProvenance]:
    """Return what the training sources of a run are.

    Raises:
        CorpusError: one cannot be read.
    """
    storage = Storage(data.remote, allow_pipe=data.allow_pipe)
    found = []
    for source in data.sources:
        manifest = read_manifest(source.path, storage)
        content = storage.read(storage.join(source.path, MANIFEST_NAME), MAX_MANIFEST_BYTES)
        found.append(
            CorpusProvenance(
                name=_name(source.path, storage),
                sha256=hashlib.sha256(content).hexdigest(),
                part=source.part,
                clips=manifest.num_clips,
                speakers=manifest.num_speakers,
                languages={name: of["hours"] for name, of in sorted(manifest.languages.items())},
                licences=manifest.licences,
            )
        )
    return found


def write_corpora(run: Path, corpora: Sequence[CorpusProvenance]) -> None:
    """Write `corpora.json` into a run folder."""
    text = json.dumps([asdict(corpus) for corpus in corpora], indent=2, ensure_ascii=False)
    write_atomically(run / FILE, text + "\n")


def read_corpora(run: Path) -> list[CorpusProvenance] | None:
    """Return what a run has read; None where it did not write it down, as older ones.

    Raises:
        ValueError: something else wrote the file.
    """
    path = run / FILE
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    return parse_corpora(values, str(path))


def parse_corpora(values: Any, where: str) -> list[CorpusProvenance]:
    """Return corpora from their plain values.

    Raises:
        ValueError: they are none; the message begins with `where`.
    """
    if not isinstance(values, list):
        raise ValueError(f"{where} must be a list of corpora, but is {str(values)[:60]!r}")
    return [_parse(of, f"{where}[{number}]") for number, of in enumerate(values)]


def _parse(values: Any, where: str) -> CorpusProvenance:
    if not isinstance(values, dict) or values.keys() != _KINDS.keys():
        raise ValueError(f"{where} must have {', '.join(_KINDS)} and no more")
    for key, kind in _KINDS.items():
        value = values[key]
        hours = value.values() if isinstance(value, dict) else ()
        if not isinstance(value, kind) or not all(isinstance(of, float | int) for of in hours):
            raise ValueError(f"{where}.{key} must be of type {kind.__name__}, but is {value!r:.60}")
    return CorpusProvenance(**values)


def _name(path: str, storage: Storage) -> str:
    if not storage.is_local(path):
        return public_name(path)
    return "/".join(Path(path).resolve().parts[-_SHOWN_PARTS:])
