"""Held-out sentences of a fit: what its bundle is asked to say, in whose voice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.decode import Clip
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.key_list import read_key_list
from gsv2.data.corpus.part import in_part
from gsv2.data.stream.reader import MappedReader, read_clip
from gsv2.evaluation.sentence import Sentence
from gsv2.inference.references import Reference

_PROMPT_SEC = (1.0, 12.0)
"""Shortest and longest prompt."""
_MAX_SENTENCE_SEC = 15.0
_NUM_FURTHER = 2
"""Further recordings of a voice that come with each sentence."""


class HeldOutSentences(Sequence[Sentence]):
    """Held-out clips with another clip of their voice each, read when they are asked for.

    Voices and their languages take turns, so that few sentences have many of both.

    Args:
        source: held-out clips; prompts come from all clips of the corpus, but for those that it
            leaves out.
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
        taken = np.ones(len(own), dtype=bool)
        if source.leave_out is not None:
            listed = read_key_list(source.leave_out, index.storage)
            taken = ~pc.is_in(index.strings("key"), listed.cast(pa.large_string())).to_numpy(
                zero_copy_only=False
            )
        self._rows = list(_rows(index, own & taken, taken))[:count]
        if not self._rows:
            raise ValueError(f"{source.path}: no held-out clip has another one of its speaker")

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> Sentence: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Sentence]: ...
    def __getitem__(self, place: int | slice) -> Sentence | Sequence[Sentence]:
        """Return a sentence with its prompt, its recording, and further ones of the voice."""
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        clip, prompt, *further = (self._clip(row) for row in self._rows[place])
        assert prompt.wave is not None
        return Sentence(
            key=clip.key,
            text=clip.text,
            speaker=clip.speaker,
            prompts=(Reference(wave=prompt.wave, text=prompt.text),),
            language=clip.language or "und",
            recording=clip.wave,
            further=tuple(other.wave for other in further if other.wave is not None),
        )

    def _clip(self, row: int) -> Clip:
        clip = read_clip(self._reader, row)
        if not isinstance(clip, Clip):
            raise ValueError(f"held-out clip {clip.key} in {clip.shard}: {clip.reason}")
        return clip


def _rows(index: CorpusIndex, own: np.ndarray, heard: np.ndarray) -> Iterator[tuple[int, ...]]:
    """Yield (row to say, row of the prompt, further rows of the voice), voices in turn.

    Args:
        index: all clips.
        own: [rows] bool: clips to say.
        heard: [rows] bool: clips that may be prompts.
    """
    seconds = index.numbers("duration_sec")
    voices, languages = (
        pc.dictionary_encode(index.strings(name).fill_null("")).indices.to_numpy()
        for name in ("speaker", "language")
    )
    fits = heard & (seconds >= _PROMPT_SEC[0]) & (seconds <= _PROMPT_SEC[1])
    of_group = []
    for voice, language in sorted(set(zip(voices.tolist(), languages.tolist(), strict=True))):
        is_voice = voices == voice
        rows = np.flatnonzero(is_voice & (languages == language))
        said = rows[own[rows] & (seconds[rows] <= _MAX_SENTENCE_SEC)]
        prompts = rows[fits[rows]] if fits[rows].sum() > 1 else np.flatnonzero(is_voice & fits)
        turns = [(row, *_others(row, i, prompts)) for i, row in enumerate(said.tolist())]
        of_group.append([turn for turn in turns if len(turn) > 1])
    for turn in zip_longest(*of_group):
        yield from (rows for rows in turn if rows is not None)


def _others(row: int, number: int, prompts: np.ndarray) -> list[int]:
    """Return the prompt and further recordings: clips but for `row`, others for each number."""
    others = np.roll(prompts[prompts != row], -number)
    return others[: 1 + _NUM_FURTHER].tolist()
