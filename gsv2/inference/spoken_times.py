"""Times of the characters and words of a spoken text, from the character of each code frame."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gsv2.files import write_atomically
from gsv2.text.words import word_ends

_UNSPACED = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Letters of scripts that put no space between words, each of which counts as a word: kana, Han."""


class Spoken(NamedTuple):
    """A part of a text and when it is spoken."""

    text: str
    """Character or word."""
    start_sec: float
    """Time of its beginning."""
    end_sec: float
    """Time of its end."""


class SpokenText(NamedTuple):
    """Times of all parts of a text."""

    characters: tuple[Spoken, ...]
    """All code points of the text, in order; without a gap."""
    words: tuple[Spoken, ...]
    """Words between spaces, without the punctuation around them; each kana and Han is one, and with
    the extra `gsv2[icu]` each word of Thai, Lao, Khmer and Burmese."""
    duration_sec: float
    """Length of the speech."""

    def shifted(self, by_sec: float) -> SpokenText:
        """Return the same, spoken later; the time before it counts with its duration."""
        characters, words = (
            tuple(Spoken(p.text, p.start_sec + by_sec, p.end_sec + by_sec) for p in parts)
            for parts in (self.characters, self.words)
        )
        return SpokenText(characters, words, self.duration_sec + by_sec)


def time_text(text: str, characters: np.ndarray, rate_hz: float) -> SpokenText:
    """Return when a text is spoken.

    Characters of one frame share it in equal parts.

    Args:
        text: text as `normalize_text` returns it.
        characters: [T] character that is spoken at each frame, rising.
        rate_hz: code frames a second.
    """
    firsts, ends = np.zeros(len(text)), np.zeros(len(text))
    before = -1
    for frame, place in enumerate(characters.tolist()):
        new = range(before + 1, place + 1)
        for number, character in enumerate(new):
            firsts[character] = frame + number / len(new)
            ends[character] = frame + (number + 1) / len(new)
        ends[place] = frame + 1
        before = max(before, place)
    firsts[before + 1 :] = ends[before + 1 :] = len(characters)  # of a text that was cut
    spoken = tuple(
        Spoken(character, float(start) / rate_hz, float(end) / rate_hz)
        for character, start, end in zip(text, firsts, ends, strict=True)
    )
    words = tuple(_join(spoken[start:end]) for start, end in split_words(text))
    return SpokenText(spoken, words, len(characters) / rate_hz)


def time_tokens(
    text: str,
    spans: Sequence[tuple[int, int]],
    durations: Sequence[int],
    rate_hz: float,
) -> SpokenText:
    """Return when a text is spoken whose tokens last known numbers of frames.

    Characters of one token share it in equal parts.

    Args:
        text: text as `normalize_text` returns it.
        spans: characters from..to that each token is a part of, rising.
        durations: frames of a silence, of each token, and of a silence.
        rate_hz: frames a second.
    """
    before, *said, _ = durations
    places = [
        start + number * max(1, end - start) // frames
        for (start, end), frames in zip(spans, said, strict=True)
        for number in range(frames)
    ]
    characters = np.minimum(np.maximum.accumulate(np.array(places, dtype=np.int64)), len(text) - 1)
    spoken = time_text(text, characters, rate_hz).shifted(before / rate_hz)
    return spoken._replace(duration_sec=sum(durations) / rate_hz)


def join_times(parts: Sequence[SpokenText]) -> SpokenText:
    """Return the times of parts that each say when they are spoken in the whole."""
    return SpokenText(
        tuple(spoken for part in parts for spoken in part.characters),
        tuple(spoken for part in parts for spoken in part.words),
        parts[-1].duration_sec if parts else 0.0,
    )


def split_words(text: str) -> list[tuple[int, int]]:
    """Return where the words of a text start and end, as places of its characters."""
    words: list[tuple[int, int]] = []
    start: int | None = None
    for place, character in enumerate([*text, " "]):
        alone = _UNSPACED.match(character) is not None
        if start is not None and (character.isspace() or alone):
            words.append((start, place))
            start = None
        if alone:
            words.append((place, place + 1))
        elif start is None and not character.isspace():
            start = place
    parts = (part for word in words for part in _dictionary_words(text, *word))
    trimmed = (_trim(text, *word) for word in parts)
    return [(start, end) for start, end in trimmed if start < end]


def _dictionary_words(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return the words of what stands between spaces, in scripts that put none between them."""
    ends = word_ends(text[start:end])
    if ends is None:
        return [(start, end)]
    return [(start + first, start + last) for first, last in pairwise([0, *ends])]


def to_textgrid(spoken: SpokenText) -> str:
    """Return a TextGrid (Praat's long form) with a tier of words and one of characters."""
    tiers = {"words": spoken.words, "characters": spoken.characters}
    end = spoken.duration_sec
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', ""]
    lines += ["xmin = 0", f"xmax = {end:.6f}", "tiers? <exists>", f"size = {len(tiers)}"]
    lines += ["item []:"]
    for number, (name, parts) in enumerate(tiers.items(), 1):
        intervals = _without_gaps(parts, end)
        lines += [f"    item [{number}]:", '        class = "IntervalTier"']
        lines += [f'        name = "{name}"', "        xmin = 0", f"        xmax = {end:.6f}"]
        lines += [f"        intervals: size = {len(intervals)}"]
        for place, part in enumerate(intervals, 1):
            escaped = part.text.replace('"', '""')
            lines += [f"        intervals [{place}]:", f"            xmin = {part.start_sec:.6f}"]
            lines += [f"            xmax = {part.end_sec:.6f}", f'            text = "{escaped}"']
    return "\n".join(lines) + "\n"


def to_json(spoken: SpokenText) -> str:
    """Return the times as JSON: `duration_sec`, `words`, `characters`."""
    parts = {"words": spoken.words, "characters": spoken.characters}
    values = {name: [part._asdict() for part in found] for name, found in parts.items()}
    return json.dumps({"duration_sec": spoken.duration_sec, **values}, ensure_ascii=False, indent=1)


def write_times(spoken: SpokenText, path: Path) -> None:
    """Write a TextGrid or JSON, by the suffix of the file.

    Raises:
        ValueError: another suffix.
    """
    check_suffix(path)
    make = to_json if path.suffix.lower() == ".json" else to_textgrid
    write_atomically(path, make(spoken))


def check_suffix(path: Path) -> None:
    """Check that times can be written to a file of this name.

    Raises:
        ValueError: another suffix.
    """
    if path.suffix.lower() not in (".textgrid", ".json"):
        raise ValueError(f"times are written as .TextGrid or .json, but {path} is neither")


def _join(parts: Sequence[Spoken]) -> Spoken:
    text = "".join(part.text for part in parts)
    return Spoken(text, parts[0].start_sec, parts[-1].end_sec)


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Return a word without the signs around it."""
    while start < end and not _is_said(text[start]):
        start += 1
    while end > start and not _is_said(text[end - 1]):
        end -= 1
    return start, end


def _is_said(character: str) -> bool:
    """Tell letters, marks and digits from punctuation and symbols."""
    return unicodedata.category(character)[0] in "LMN"


def _without_gaps(parts: Sequence[Spoken], end_sec: float) -> list[Spoken]:
    """Return intervals from 0 to the end, empty ones where nothing is said, as Praat asks."""
    filled: list[Spoken] = []
    reached = 0.0
    for part in parts:
        if part.start_sec > reached:
            filled.append(Spoken("", reached, part.start_sec))
        if part.end_sec > part.start_sec:
            filled.append(part)
            reached = part.end_sec
    if reached < end_sec or not filled:
        filled.append(Spoken("", reached, end_sec))
    return filled
