"""Held-out sentences of a fit: what its bundle is asked to say, in whose voice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import overload

import numpy as np
import pyarrow.compute as pc

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.decode import Clip
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.part import in_part
from gsv2.data.stream.reader import MappedReader, read_clip
from gsv2.evaluation.sentence import Sentence
from gsv2.inference.references import Reference

_PROMPT_SEC = (1.0, 12.0)
"""Shortest and longest prompt."""
_MAX_SENTENCE_SEC = 15.0


class HeldOutSentences(Sequence[Sentence]):
    """Held-out clips with another clip of their voice each, read when they are asked for.

    Voices take turns, so that few sentences have many voices.

    Args:
        source: held-out clips; prompts come from all clips of the corpus.
        count: most sentences.

    Raises:
        ValueError: no held-out clip has another one of its voice.
    """

    def __init__(self, source: SourceConfig, count: int) -> None:
        index = CorpusIndex.open(replace(source, part="all", held_out_share=0.0))
        self._reader = MappedReader(index, ("audio",))
        own = np.concatenate(
            [
                in_part(index.read(shard, ["key"])["key"], source.part, source.held_out_share)
                for shard in index.shards
            ]
        )
        self._pairs = list(_pairs(index, own))[:count]
        if not self._pairs:
            raise ValueError(f"{source.path}: no held-out clip has another one of its speaker")

    def __len__(self) -> int:
        return len(self._pairs)

    @overload
    def __getitem__(self, place: int) -> Sentence: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Sentence]: ...
    def __getitem__(self, place: int | slice) -> Sentence | Sequence[Sentence]:
        """Return a sentence with its prompt and its recording."""
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        clip, prompt = (self._clip(row) for row in self._pairs[place])
        assert prompt.wave is not None
        return Sentence(
            key=clip.key,
            text=clip.text,
            speaker=clip.speaker,
            prompts=(Reference(wave=prompt.wave, text=prompt.text),),
            language=clip.language or "und",
            recording=clip.wave,
        )

    def _clip(self, row: int) -> Clip:
        clip = read_clip(self._reader, row)
        if not isinstance(clip, Clip):
            raise ValueError(f"held-out clip {clip.key} in {clip.shard}: {clip.reason}")
        return clip


def _pairs(index: CorpusIndex, own: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield (row to say, row of another clip of the voice), voices in turn."""
    seconds = index.numbers("duration_sec")
    voices = pc.dictionary_encode(index.strings("speaker")).indices.to_numpy()
    fits = (seconds >= _PROMPT_SEC[0]) & (seconds <= _PROMPT_SEC[1])
    of_voice = []
    for voice in np.unique(voices):
        rows = np.flatnonzero(voices == voice)
        said = rows[own[rows] & (seconds[rows] <= _MAX_SENTENCE_SEC)]
        prompts = rows[fits[rows]]
        turns = [(row, _other(row, i, prompts)) for i, row in enumerate(said.tolist())]
        of_voice.append([(row, prompt) for row, prompt in turns if prompt is not None])
    for turn in zip_longest(*of_voice):
        yield from (pair for pair in turn if pair is not None)


def _other(row: int, number: int, prompts: np.ndarray) -> int | None:
    """Return one of the prompts that is another clip; None if there is none."""
    others = prompts[prompts != row]
    return int(others[number % len(others)]) if len(others) else None
