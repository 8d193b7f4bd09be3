"""Format of an archive (a WebDataset of others): its audio, transcript, speaker and language."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gsv2.text.language import is_language

AUDIO_SUFFIXES = ("flac", "wav", "ogg", "opus", "mp3")
"""Suffixes of audio that is read; the first that a clip has is taken."""


@dataclass(frozen=True, kw_only=True)
class ArchiveFormat:
    """Places of audio, text and labels in the clips of a WebDataset."""

    audio_suffixes: tuple[str, ...] = AUDIO_SUFFIXES
    """Suffixes of audio; the first that a clip has is taken."""
    codes_suffix: str = "codes.npy"
    """Suffix of codes, uint16 [K, T]; "" = there are none."""
    text_suffix: str = "txt"
    """Suffix of a transcript as plain UTF-8, for clips whose JSON has none."""
    text_field: str = "text"
    """Field of the JSON with the transcript; dots lead into objects: `meta.sentence`."""
    language_field: str = "language"
    speaker_field: str = "speaker"
    language: str = ""
    """Language of clips whose JSON names none."""
    language_from_folder: bool = False
    """The folder of a tar is the language of such clips."""
    speaker: str = ""
    """Speaker of clips that name none."""
    speaker_pattern: str = ""
    """Regular expression on the key; its first group is the speaker of such clips."""
    recording_pattern: str = ""
    """The same for the recording: clips of one recording without a speaker share a voice."""
    prefix_keys: bool = False
    """Put the name of the tar before every key, where keys count inside a tar only."""
    block_clips: int = 16
    """Largest number of clips of one speaker that make a block."""
    decode: bool = False
    """Decode all audio: finds NaN, and files that end before their header says."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        for name in ("speaker_pattern", "recording_pattern"):
            pattern = getattr(self, name)
            try:
                groups = re.compile(pattern).groups
            except re.error as error:
                raise ValueError(f"{name} {pattern!r} is no regular expression: {error}") from error
            if pattern and groups < 1:
                raise ValueError(f"{name} must have a group, (...), but is {pattern!r}")
        if self.language and not is_language(self.language):
            raise ValueError(f"language must be a tag like en or zh-Hant, but is {self.language!r}")
        if not self.audio_suffixes or self.block_clips < 1:
            raise ValueError("audio_suffixes must not be empty, block_clips must be positive")

    @property
    def suffixes(self) -> frozenset[str]:
        """Suffixes of all members that are read."""
        others = {"json", self.text_suffix, self.codes_suffix} - {""}
        return frozenset(self.audio_suffixes) | others
