"""Encoded clips on disk while a corpus is built, so that blocks can be shuffled in little memory.

In memory a clip costs 17 bytes (its place in the file, its voice and its part); the content waits
in one file per language. The disk must hold the corpus twice while it is built.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gsv2.files import named_errors

_HEADER = struct.Struct("<II")  # bytes of the head, bytes of the body


class ClipSpool:
    """Clips in order of arrival, read back as shuffled blocks of one voice each."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._languages: dict[str, _LanguageSpool] = {}

    def __enter__(self) -> ClipSpool:
        return self

    def __exit__(self, *_: object) -> None:
        for spool in self._languages.values():
            with named_errors(spool.path):
                spool.file.close()

    @property
    def languages(self) -> list[str]:
        """Languages met, sorted."""
        return sorted(self._languages)

    def append(self, language: str, voice: str, head: bytes, body: bytes, part: int = 0) -> None:
        """Store one clip.

        Args:
            language: selects the file.
            voice: clips of one voice come back together; "" stays alone.
            head: anything, given back by `blocks`.
            body: anything, given back by `blocks`.
            part: number of the part of the corpus that it goes to, 0..127.
        """
        if language not in self._languages:
            path = self._folder / f"{language}.spool"
            self._languages[language] = _LanguageSpool(path)
        self._languages[language].append(voice, head, body, part)

    def drop(self, language: str, clip: int) -> tuple[bytes, bytes]:
        """Leave out a clip, by its number in its language, and return its head and body."""
        return self._languages[language].drop(clip)

    def blocks(
        self, language: str, block_clips: int, rng: np.random.Generator, part: int = 0
    ) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield the clips of a language as blocks of up to `block_clips` of one voice, shuffled."""
        yield from self._languages[language].blocks(block_clips, rng, part)


class _LanguageSpool:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path.open("w+b")
        self._offsets = array("q")
        self._voices = array("q")
        self._parts = array("b")
        self._numbers: dict[str, int] = {}
        self._num_voices = 0
        self._dropped: list[int] = []

    def append(self, voice: str, head: bytes, body: bytes, part: int) -> None:
        self._offsets.append(self.file.tell())
        self._parts.append(part)
        self._voices.append(self._number(voice))
        with named_errors(self.path):
            self.file.write(_HEADER.pack(len(head), len(body)))
            self.file.write(head)
            self.file.write(body)

    def drop(self, clip: int) -> tuple[bytes, bytes]:
        self._dropped.append(clip)
        return self._read(clip)

    def blocks(
        self, block_clips: int, rng: np.random.Generator, part: int
    ) -> Iterator[list[tuple[bytes, bytes]]]:
        voices = np.frombuffer(self._voices, dtype=np.int64)
        order = np.argsort(voices, kind="stable")
        order = order[np.frombuffer(self._parts, dtype=np.int8)[order] == part]
        order = order[~np.isin(order, self._dropped)]
        if not len(order):
            return
        _, first = np.unique(voices[order], return_index=True)
        ends = np.append(first[1:], len(order))
        starts = np.concatenate(
            [np.arange(start, end, block_clips) for start, end in zip(first, ends, strict=True)]
        )
        stops = np.append(starts[1:], len(order))
        for block in rng.permutation(len(starts)):
            yield [self._read(clip) for clip in order[starts[block] : stops[block]]]

    def _read(self, clip: int) -> tuple[bytes, bytes]:
        self.file.seek(self._offsets[clip])
        head, body = _HEADER.unpack(self.file.read(_HEADER.size))
        return self.file.read(head), self.file.read(body)

    def _number(self, voice: str) -> int:
        if voice in self._numbers:
            return self._numbers[voice]
        self._num_voices += 1
        if voice:
            self._numbers[voice] = self._num_voices
        return self._num_voices
