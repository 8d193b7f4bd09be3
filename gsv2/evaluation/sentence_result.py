"""Row of an evaluation: all that was measured on one sentence, kept as a JSON file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gsv2.evaluation.estimates import Measurement
from gsv2.files import write_atomically

SOURCES = ("generated", "resynthesis", "recording")
"""What is judged: the bundle's speech, the recording sent through its codes, the recording."""
Measures = dict[str, dict[str, Measurement]]
"""Figure -> source -> what the sentence adds to it."""
_FORMAT = 1


@dataclass(kw_only=True)
class SentenceResult:
    """A sentence and what was measured on it."""

    key: str
    text: str
    language: str
    speaker: str
    fingerprint: str
    """Hash of all that its speech depends on."""
    prompt_ids: list[str]
    """Hash of each prompt."""
    recording_id: str | None = None
    """Hash of its recording, if there is one."""
    further_ids: list[str] = field(default_factory=list)
    """Hash of each further recording of the voice."""
    failure: str | None = None
    """Why it was not spoken; nothing was measured then."""
    ended: bool = False
    """Whether the model ended it by itself."""
    speech_sec: float = 0.0
    """Length of the speech."""
    compute_sec: float = 0.0
    """Time that speaking it took."""
    measures: Measures = field(default_factory=dict)
    """Figures but for those that compare with other sentences."""
    readings: dict[str, dict[str, str]] = field(default_factory=dict)
    """Judge -> source -> what it read or heard."""
    voices: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """Speaker encoder -> source, or hash of a prompt or recording -> vector of length 1."""
    judged: dict[str, str] = field(default_factory=dict)
    """Judge -> its identity when it judged."""


class ResultFolder:
    """The results and sounds of an evaluation, by the key of the sentence."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def wave(self, key: str, source: str) -> Path:
        """Return the path of a sentence's sound."""
        return self.folder / f"{file_name(key)}.{source}.wav"

    def load(self, key: str) -> SentenceResult | None:
        """Return the result of a sentence; None if there is none, or one of another format.

        Raises:
            ValueError: the file is damaged.
        """
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            values = dict(json.loads(path.read_bytes()))
            is_ours = values.pop("format") == _FORMAT
            return _from_json(values) if is_ours else None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is damaged ({error}); delete it") from error

    def save(self, result: SentenceResult) -> None:
        """Write a result."""
        text = json.dumps({"format": _FORMAT, **asdict(result)}, ensure_ascii=False)
        write_atomically(self._path(result.key), text + "\n")

    def _path(self, key: str) -> Path:
        return self.folder / f"{file_name(key)}.json"


def file_name(key: str) -> str:
    """Return the name of a sentence's files: what no file system refuses."""
    return re.sub(r"[^\w-]", "_", key)


def _from_json(values: Mapping[str, Any]) -> SentenceResult:
    result = SentenceResult(**values)
    result.measures = {
        figure: {source: Measurement(*sums) for source, sums in by_source.items()}
        for figure, by_source in result.measures.items()
    }
    return result
