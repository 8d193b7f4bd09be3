"""Clips of a corpus while it is built, so that blocks can be shuffled in little memory.

In memory a clip costs 17 bytes (its place in a file, its voice and its part); what describes it
waits in one file per language, and so does its audio unless a journal has it.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gsv2.data.building.stored_audio import StoredAudio
from gsv2.files import named_errors

_HEADER = struct.Struct("<IIIqh")
"""Bytes of the head and of the audio, its CRC-32, and its place and file in a journal."""
_HERE = -1
"""File of audio that follows its head."""


@dataclass(frozen=True)
class SpooledClip:
    """A clip that waits."""

    head: bytes
    audio: StoredAudio


class ClipSpool:
    """Clips in order of arrival, read back as shuffled blocks of one voice each."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._languages: dict[str, _LanguageSpool] = {}
        self._journals: dict[int, BinaryIO] = {}
        self._digest = blake2b(digest_size=16)
        self.is_journalled = True
        """Whether a journal has the audio of all clips."""
        self.is_whole = True
        """Whether the audio of all clips is there still."""

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

    @property
    def identity(self) -> str:
        """Hash of all that was stored and dropped."""
        return self._digest.hexdigest()

    def append(
        self, language: str, voice: str, head: bytes, audio: bytes | StoredAudio, part: int = 0
    ) -> None:
        """Store one clip.

        Args:
            language: selects the file.
            voice: clips of one voice come back together; "" stays alone.
            head: anything, given back by `blocks`.
            audio: what it sounds like; what a journal has stays there.
            part: number of the part of the corpus that it goes to, 0..127.
        """
        if language not in self._languages:
            path = self._folder / f"{language}.spool"
            self._languages[language] = _LanguageSpool(path, self._journals)
        self._languages[language].append(voice, head, audio, part)
        if isinstance(audio, StoredAudio):
            self.is_whole &= audio.is_there
            self._digest.update(repr((voice, head, audio.crc32, part)).encode())
        else:
            self.is_journalled = False

    def drop(self, language: str, clip: int) -> SpooledClip:
        """Leave out a clip, by its number in its language, and return it."""
        self._digest.update(repr((language, clip)).encode())
        return self._languages[language].drop(clip)

    def blocks(
        self, language: str, block_clips: int, rng: np.random.Generator, part: int = 0
    ) -> Iterator[list[SpooledClip]]:
        """Yield the clips of a language as blocks of up to `block_clips` of one voice, shuffled."""
        yield from self._languages[language].blocks(block_clips, rng, part)


class _LanguageSpool:
    def __init__(self, path: Path, journals: dict[int, BinaryIO]) -> None:
        self.path = path
        self.file = path.open("w+b")
        self._journals = journals
        self._offsets = array("q")
        self._voices = array("q")
        self._parts = array("b")
        self._numbers: dict[str, int] = {}
        self._num_voices = 0
        self._dropped: list[int] = []

    def append(self, voice: str, head: bytes, audio: bytes | StoredAudio, part: int) -> None:
        self._offsets.append(self.file.tell())
        self._parts.append(part)
        self._voices.append(self._number(voice))
        with named_errors(self.path):
            if isinstance(audio, StoredAudio):
                self._journals[audio.number] = audio.file
                place = (audio.num_bytes, audio.crc32, audio.offset, audio.number)
                self.file.write(_HEADER.pack(len(head), *place) + head)
            else:
                self.file.write(_HEADER.pack(len(head), len(audio), 0, 0, _HERE) + head)
                self.file.write(audio)

    def drop(self, clip: int) -> SpooledClip:
        self._dropped.append(clip)
        return self._read(clip)

    def blocks(
        self, block_clips: int, rng: np.random.Generator, part: int
    ) -> Iterator[list[SpooledClip]]:
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

    def _read(self, clip: int) -> SpooledClip:
        self.file.seek(self._offsets[clip])
        size, num_bytes, crc32, offset, number = _HEADER.unpack(self.file.read(_HEADER.size))
        head = self.file.read(size)
        if number == _HERE:
            return SpooledClip(head, StoredAudio(self.file, number, self.file.tell(), num_bytes, 0))
        audio = StoredAudio(self._journals[number], number, offset, num_bytes, crc32)
        return SpooledClip(head, audio)

    def _number(self, voice: str) -> int:
        if voice in self._numbers:
            return self._numbers[voice]
        self._num_voices += 1
        if voice:
            self._numbers[voice] = self._num_voices
        return self._num_voices
