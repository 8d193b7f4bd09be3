"""Segments of long recordings in Praat's TextGrids: `NAME.wav` beside `NAME.TextGrid`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gsv2.data.building.offered import LeftOutError
from gsv2.data.building.readers.glance import Glance
from gsv2.data.building.readers.reader import Listed, ReadingOptions
from gsv2.data.building.readers.segments import Segment, segmented_recordings

_SUFFIX = ".textgrid"
_TOKEN = re.compile(
    r'"(?P<text>(?:[^"]|"")*)"|\[[^\]\n]*\]|(?P<number>(?<![\w.])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)'
)
_ALIGNED = re.compile(r"(.* - )?(words?|phones?|phonemes?|syllables?|segments?)", re.IGNORECASE)
_SILENCES = frozenset({"", "sil", "<sil>", "sp", "spn", "<p:>", "#", "<silence>", "silence"})


class TextGridReader:
    """TextGrids of both text formats; several tiers of texts are a speaker each."""

    name = "textgrid"
    layout = "NAME.wav beside NAME.TextGrid, whose intervals are the clips"
    precedes: tuple[str, ...] = ()

    def recognise(self, look: Glance) -> str | None:
        """Return a recording beside its TextGrid."""
        grids = {name.with_suffix("") for name in look.names if name.suffix.lower() == _SUFFIX}
        found = next((name for name in look.audio() if name.with_suffix("") in grids), None)
        return f"{found} beside {found.stem}.TextGrid" if found else None

    def recordings(self, source: Path, options: ReadingOptions) -> Listed:
        """Yield the intervals with a text of all recordings."""
        return segmented_recordings(source, (_SUFFIX,), _segments, options)


class _Token(NamedTuple):
    line: int
    text: str
    is_text: bool


def _segments(content: str, options: ReadingOptions) -> list[Segment]:
    """Return the intervals with a text, of the tier that is asked for or of each speaker."""
    if "ooTextFile" not in content[:100]:
        raise LeftOutError("not a TextGrid in text form", content[:40])
    tiers = list(_tiers(iter(_tokens(content))))
    names = [name for name, _ in tiers]
    wanted = options.columns.get("text")
    if wanted is not None:
        chosen = [tier for tier in tiers if tier[0] == wanted]
    else:
        chosen = [tier for tier in tiers if not _ALIGNED.fullmatch(tier[0])]
    if not chosen:
        what = f"tiers {', '.join(names) or 'none'}; name one with --column text=TIER"
        raise LeftOutError("no tier of sentences", what)
    several = len(chosen) > 1
    return [
        Segment(
            line=segment.line,
            start_sec=segment.start_sec,
            end_sec=segment.end_sec,
            text=segment.text,
            speaker=name if several else "",
            fault=segment.fault,
        )
        for name, segments in chosen
        for segment in segments
        if segment.text.lower() not in _SILENCES
    ]


def _tokens(content: str) -> Iterator[_Token]:
    """Yield the texts and numbers, which both formats have in one order."""
    line, place = 1, 0
    for match in _TOKEN.finditer(content):
        line, place = line + content.count("\n", place, match.start()), match.start()
        if match["text"] is not None:
            yield _Token(line, match["text"].replace('""', '"').strip(), is_text=True)
        elif match["number"] is not None:
            yield _Token(line, match["number"], is_text=False)


def _tiers(tokens: Iterator[_Token]) -> Iterator[tuple[str, list[Segment]]]:
    """Yield name and intervals of each tier; tiers of points have none."""
    try:
        for token in tokens:
            if token.text not in ("IntervalTier", "TextTier"):
                continue
            name = next(tokens).text
            _, _, count = next(tokens), next(tokens), int(next(tokens).text)
            if token.text == "TextTier":
                for _ in range(count):
                    _, _ = next(tokens), next(tokens)
                continue
            yield name, [_interval(next(tokens), next(tokens), next(tokens)) for _ in range(count)]
    except (StopIteration, ValueError) as error:
        raise LeftOutError(
            "TextGrid cannot be read", f"it ends or errs in a tier: {error}"
        ) from error


def _interval(start: _Token, end: _Token, text: _Token) -> Segment:
    begin, finish = float(start.text), float(end.text)
    fault = ("", "")
    if not text.is_text or finish <= begin:
        fault = ("segment has no duration", f"{begin} s to {finish} s")
    return Segment(line=start.line, start_sec=begin, end_sec=finish, text=text.text, fault=fault)
