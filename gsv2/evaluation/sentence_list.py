"""Lists of sentences in the format of Seed-TTS-eval (arXiv 2406.02430), its `meta.lst`.

A line is `utt|prompt text|prompt wav|text`, or `utt|prompt text|prompt wav|text|recording`. Wavs
lie relative to the list. Two fields more are ours: `...|recording|language|speaker`, where a
recording that is not there is an empty field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np

from gsv2.audio.errors import WaveError
from gsv2.audio.level import apply_level, measure_level
from gsv2.audio.wave import load_wave
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.evaluation.sentence import UNKNOWN_LANGUAGE, Sentence
from gsv2.evaluation.sentence_result import file_name
from gsv2.inference.references import load_reference
from gsv2.text.language import LanguageError, canonical_language
from gsv2.text.normalize import TextError, normalize_text

_SEPARATOR = "|"
_FIELDS = ("utt", "prompt text", "prompt wav", "text", "recording", "language", "speaker")
_MIN_FIELDS = 4


class SentenceListError(ValueError):
    """A list that cannot be used; the message names the file, the line and the field."""


@dataclass(frozen=True, kw_only=True)
class ListedSentence:
    """A line of a list."""

    line: int
    """Number of the line, from 1."""
    key: str
    prompt_text: str
    prompt: Path
    text: str
    recording: Path | None
    language: str
    speaker: str


class SentenceList(Sequence[Sentence]):
    """Sentences of a file; each one's sounds are read when it is asked for."""

    def __init__(self, path: Path, lines: Sequence[ListedSentence]) -> None:
        self._path = path
        self.lines = tuple(lines)

    def __len__(self) -> int:
        return len(self.lines)

    @overload
    def __getitem__(self, place: int) -> Sentence: ...
    @overload
    def __getitem__(self, place: slice) -> SentenceList: ...
    def __getitem__(self, place: int | slice) -> Sentence | SentenceList:
        """Return a sentence with its sounds, or some of the list.

        Raises:
            SentenceListError: a sound that cannot be used; names the line.
        """
        if isinstance(place, slice):
            return SentenceList(self._path, self.lines[place])
        line = self.lines[place]
        try:
            prompt = load_reference(line.prompt, line.prompt_text)
            recording = None if line.recording is None else _load_recording(line.recording)
        except ValueError as error:
            raise SentenceListError(f"{self._path}, line {line.line}: {error}") from error
        return Sentence(
            key=line.key,
            text=line.text,
            language=line.language,
            speaker=line.speaker,
            prompts=(prompt,),
            recording=recording,
        )


def read_sentence_list(path: Path, language: str = UNKNOWN_LANGUAGE) -> SentenceList:
    """Read a list; every line is checked, and no sound is read yet.

    Args:
        path: file in UTF-8.
        language: BCP 47 tag of the lines that name none.

    Raises:
        SentenceListError: a line that cannot be used, two of one name, or none at all.
        LanguageError: `language` is no tag.
    """
    if language != UNKNOWN_LANGUAGE:
        language = canonical_language(language)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SentenceListError(f"{path} must be UTF-8, but is not: {error}") from error
    lines: list[ListedSentence] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        listed = _parse(path, number, line, language)
        if (first := seen.setdefault(file_name(listed.key), number)) != number:
            raise _error(path, number, "utt", f"is that of line {first} too: {listed.key!r}")
        lines.append(listed)
    if not lines:
        raise SentenceListError(f"{path} must hold a sentence a line, but is empty")
    return SentenceList(path, lines)


def _parse(path: Path, number: int, line: str, language: str) -> ListedSentence:
    fields = [field.strip() for field in line.split(_SEPARATOR)]
    if not _MIN_FIELDS <= len(fields) <= len(_FIELDS):
        raise SentenceListError(
            f"{path}, line {number}: must have {_MIN_FIELDS} to {len(_FIELDS)} fields between "
            f"'{_SEPARATOR}' ({_SEPARATOR.join(_FIELDS)}), but has {len(fields)}"
        )
    given = dict(zip(_FIELDS, fields, strict=False))
    for name in _FIELDS[:_MIN_FIELDS]:
        if not given[name]:
            raise _error(path, number, name, "is empty")
    for name in ("prompt text", "text"):
        try:
            normalize_text(given[name])
        except TextError as error:
            raise _error(path, number, name, str(error)) from error
    named = given.get("language", "")
    try:
        language = canonical_language(named) if named else language
    except LanguageError as error:
        raise _error(path, number, "language", str(error)) from error
    prompt = _find(path, number, "prompt wav", given)
    assert prompt is not None, "it is not empty"
    return ListedSentence(
        line=number,
        key=given["utt"],
        prompt_text=given["prompt text"],
        prompt=prompt,
        text=given["text"],
        recording=_find(path, number, "recording", given),
        language=language,
        speaker=given.get("speaker", "") or given["prompt wav"],
    )


def _find(path: Path, number: int, name: str, given: dict[str, str]) -> Path | None:
    """Return the file that a field names, None if it names none."""
    if not given.get(name):
        return None
    found = path.parent / given[name]
    if not found.is_file():
        raise _error(path, number, name, f"does not exist: {found}")
    return found


def _load_recording(path: Path) -> np.ndarray:
    wave = load_wave(path, SAMPLE_RATE)
    try:
        return apply_level(wave, measure_level(wave, SAMPLE_RATE))
    except WaveError as error:
        raise WaveError(error.reason, f"recording {path}") from error


def _error(path: Path, number: int, field: str, reason: str) -> SentenceListError:
    return SentenceListError(f"{path}, line {number}: field '{field}' {reason}")
