"""Recordings without a text, cut into clips at their pauses before somebody writes them down."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gsv2.audio.segment import SoundReader, Span
from gsv2.audio.speech_cut import CutConfig, cut_speech
from gsv2.audio.voice_activity import FRAME_SEC, RATE_HZ, VoiceActivity
from gsv2.data.building.keys import safe_key
from gsv2.data.building.offered import Recording, RejectedFile, left_out
from gsv2.data.building.readers.fields import segment_name
from gsv2.data.process_pool import Pool
from gsv2.files import named_errors
from gsv2.storage.mirror import RemoteFile

_PIECE_SEC = 30.0
"""Sound that is decoded at a time."""

Spans = tuple[Span, ...]


class Cuts:
    """Cuts that are known, in files of one JSON line a recording.

    Args:
        own: file that new ones are added to.
        others: files that are read too.
    """

    def __init__(self, own: Path, others: Sequence[Path] = ()) -> None:
        self._own = own
        self._spans: dict[str, Spans] = {}
        for path in dict.fromkeys((own, *others)):
            for line in path.read_bytes().split(b"\n") if path.is_file() else ():
                try:
                    mark, spans = json.loads(line)
                except ValueError:  # what a kill has left of a line
                    continue
                self._spans[mark] = tuple(Span(*span) for span in spans)

    def get(self, mark: str) -> Spans | None:
        """Return the cuts of a recording; None if they are not known."""
        return self._spans.get(mark)

    def add(self, mark: str, spans: Spans) -> None:
        """Note the cuts of a recording."""
        self._own.parent.mkdir(parents=True, exist_ok=True)
        with named_errors(self._own), self._own.open("ab") as file:
            file.write(b"\n" + json.dumps([mark, spans]).encode())


class _Item(NamedTuple):
    """A recording on its way."""

    recording: Recording | RejectedFile
    is_cut: bool = False
    spans: Spans | None = None
    """None: not known yet, or it cannot be read."""

    def __str__(self) -> str:
        return str(self.recording)


def cut_recordings(
    recordings: Iterable[Recording | RejectedFile], cuts: Cuts, config: CutConfig, pool: Pool
) -> Iterator[Recording | RejectedFile]:
    """Yield recordings without a text as clips of their speech, and all others as they are.

    A recording that cannot be read stays whole, so that reading it says why.

    Args:
        recordings: recordings with keys of their own.
        cuts: cuts that are known; new ones are added.
        config: where to cut.
        pool: who looks for speech.

    Raises:
        ValueError: silero-vad is not installed.
    """
    _activity()
    marks: deque[str] = deque()

    def items() -> Iterator[_Item]:
        for recording in recordings:
            if not isinstance(recording, Recording) or not _is_to_cut(recording):
                marks.append("")
                yield _Item(recording)
                continue
            marks.append(_identity(recording, config))
            yield _Item(recording, is_cut=True, spans=cuts.get(marks[-1]))

    for item in pool.map(partial(_with_spans, config=config), items()):
        mark = marks.popleft()
        if item.is_cut and item.spans is not None and cuts.get(mark) is None:
            cuts.add(mark, item.spans)
        yield from _clips(item)


def _is_to_cut(recording: Recording) -> bool:
    """Tell whether a recording is whole, alone in its file, and without a text."""
    times = (recording.start_sec, recording.duration_sec, recording.channel)
    is_whole = isinstance(recording.audio, Path | RemoteFile) and all(
        value is None for value in times
    )
    return is_whole and recording.text is None


def _with_spans(item: _Item, config: CutConfig) -> _Item:
    recording = item.recording
    if not item.is_cut or item.spans is not None:
        return item
    assert isinstance(recording, Recording)
    assert isinstance(recording.audio, Path | RemoteFile)
    try:
        audio = recording.audio
        path = audio if isinstance(audio, Path) else audio.fetch()
        reader = SoundReader(path)  # not the one kept open: MP3 is read once
        chances = _activity().probabilities(_pieces(reader))
    except (ValueError, RuntimeError, OSError, ArithmeticError):
        return item  # whole: who reads it says what is wrong
    spans = cut_speech(chances, FRAME_SEC, config)
    total_sec = reader.duration_sec(RATE_HZ)
    ends = [(round(s.start_sec, 3), round(min(s.end_sec, total_sec), 3)) for s in spans]
    return item._replace(spans=tuple(Span(start, end) for start, end in ends if end > start))


def _pieces(reader: SoundReader) -> Iterator[np.ndarray]:
    """Yield a recording in pieces, each [N] float32 at the detector's rate."""
    total_sec = reader.duration_sec(RATE_HZ)
    for start in np.arange(0.0, total_sec, _PIECE_SEC).tolist():
        yield reader.read(Span(start, min(start + _PIECE_SEC, total_sec)), RATE_HZ)


def _clips(item: _Item) -> Iterator[Recording | RejectedFile]:
    recording = item.recording
    if item.spans is None:
        yield recording
        return
    assert isinstance(recording, Recording)
    if not item.spans:
        yield left_out(recording.place, "no speech in the audio", "by silero-vad", recording.key)
    for start, end in item.spans:
        duration = round(end - start, 3)
        name, _ = segment_name(recording.name, start, duration)
        _, key = segment_name(recording.key, start, duration)
        yield replace(
            recording, key=safe_key(key), name=name, start_sec=start, duration_sec=duration
        )


def _identity(recording: Recording, config: CutConfig) -> str:
    """Return what changes with anything that the cuts depend on."""
    assert isinstance(recording.audio, Path | RemoteFile)
    path = recording.audio if isinstance(recording.audio, Path) else recording.audio.path
    stat = (s.st_size, s.st_mtime_ns) if path.exists() and (s := path.stat()) else None
    known = repr((str(path), stat, config))
    return blake2b(known.encode(errors="surrogateescape"), digest_size=12).hexdigest()


@lru_cache(maxsize=1)
def _activity() -> VoiceActivity:
    return VoiceActivity()
