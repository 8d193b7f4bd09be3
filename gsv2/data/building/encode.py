"""Encoding of one clip for a shard: checked, levelled, as FLAC and JSON."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import zlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gsv2.audio.bandwidth import measure_bandwidth
from gsv2.audio.clipping import clipped_share
from gsv2.audio.fingerprint import fingerprint
from gsv2.audio.level import Level, apply_level, level_gain, measure_level
from gsv2.audio.noise import estimate_snr
from gsv2.audio.silence import trim_silence
from gsv2.audio.wave import TARGET_LUFS, WaveError, save_wave
from gsv2.audio.windowed_spectrum import WindowedSpectrum, windowed_spectrum
from gsv2.data.building.stored_audio import StoredAudio
from gsv2.data.corpus.format import SAMPLE_RATE, SIZE_LIMITS
from gsv2.text.language import is_language
from gsv2.text.normalize import TextError, normalize_text

_KEY = re.compile(r"(?!/)[^.\s\\]+")  # webdataset cuts a key at its first dot
_NAME = re.compile(r"[\w-]+")


@dataclass(frozen=True, kw_only=True)
class ClipRecord:
    """A clip to be written."""

    key: str
    """Unique in the corpus; without dots and blanks. `/` is allowed."""
    wave: np.ndarray
    """[N] float32 at `SAMPLE_RATE`, mono; levelled when it is written."""
    text: str
    """What is said; normalised when it is written."""
    language: str
    """Folder of its shards, e.g. `en`, `zh-Hant`."""
    speaker: str = ""
    """Speaker label; "" when unknown."""
    source: str = ""
    """Where it comes from."""
    licence: str = ""
    recording: str = ""
    """Clips without a speaker that share a recording share a voice; "" = stands alone."""


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A clip that a reader could not make a record of."""

    key: str
    reason: str
    """A fixed phrase, by which rejections are counted."""
    value: str = ""
    """What was found in place of what is needed."""
    measured: float | None = None
    """What was measured, where `reason` is about a limit..."""
    threshold: float | None = None
    """...and the limit that it breaks."""


@dataclass(frozen=True, kw_only=True)
class ShardConfig:
    """How a corpus is cut into shards; written into corpus.json."""

    name: str = "clips"
    """Shards are `LANG/NAME-000000.tar`."""
    block_clips: int = 16
    """Largest number of clips of one speaker that lie together."""
    shard_mb: float = 512.0
    """A shard ends with the block that fills this many MiB."""
    seed: int = 0
    """Seed of the order of blocks."""
    target_lufs: float = TARGET_LUFS
    """Loudness that clips are brought to, in LUFS."""
    min_clip_sec: float = 0.1
    """Shorter clips are rejected."""
    max_clip_sec: float = 600.0
    """Longer clips are rejected."""
    keep_silence_sec: float | None = None
    """Longest silence that is kept before and behind the speech; None = all."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name of shards must be letters, digits, - and _, not {self.name!r}")
        if self.keep_silence_sec is not None and not 0 <= self.keep_silence_sec < math.inf:
            raise ValueError(f"keep_silence_sec must be 0 or more, but is {self.keep_silence_sec}")
        if self.block_clips < 1 or self.shard_mb <= 0:
            raise ValueError(
                "block_clips and shard_mb must be positive, "
                f"but are {self.block_clips} and {self.shard_mb}"
            )


class EncodedClip(NamedTuple):
    """A clip as it lies in a shard."""

    key: str
    audio: bytes | StoredAudio
    json: bytes
    num_samples: int
    text_bytes: int
    level: Level
    """Level of `audio`."""
    bandwidth_hz: float | None = None
    """Frequency up to which `audio` holds sound; None: not measured."""
    trimmed_sec: float = 0.0
    """Silence that was taken off both ends."""
    snr_db: float | None = None
    """Estimated ratio of speech to noise; None: not measured, or too short."""
    clipped: float | None = None
    """Share of samples at a ceiling; None: not measured."""
    recorded_lufs: float | None = None
    """Loudness before it was levelled; None: not known."""
    fingerprint: str | None = None
    """Fingerprint of the sound, in base 64; None: not measured, or too steady to be told."""

    def sound(self) -> tuple[int, int]:
        """Return the length and the CRC-32 of `audio`."""
        if isinstance(self.audio, StoredAudio):
            return self.audio.num_bytes, self.audio.crc32
        return len(self.audio), zlib.crc32(self.audio)


def encode_clip(clip: ClipRecord, config: ShardConfig) -> EncodedClip | Rejected:
    """Check and encode one clip.

    Args:
        config: limits of clips, and their loudness.

    Returns:
        The encoded clip, or why it cannot be used.
    """
    if not _KEY.fullmatch(clip.key):
        return Rejected(key=clip.key, reason="key with dots or blanks")
    if not is_language(clip.language):
        return Rejected(key=clip.key, reason="language is not a tag like en or zh-Hant")
    whole = np.asarray(clip.wave)
    if whole.ndim != 1 or not np.isfinite(whole).all():
        return Rejected(key=clip.key, reason="audio is not one finite channel")
    wave = whole
    if config.keep_silence_sec is not None:
        wave = trim_silence(whole, SAMPLE_RATE, config.keep_silence_sec)
    if fault := _length_fault(clip.key, wave, config):
        return fault
    try:
        text = normalize_text(clip.text)
    except TextError:
        return Rejected(key=clip.key, reason="no speech in the text")
    try:
        audio, recorded, level = _encode_audio(wave, config.target_lufs)
    except WaveError as error:
        return Rejected(
            key=clip.key,
            reason=f"audio {error.kind}",
            value=error.reason,
            measured=error.measured,
            threshold=error.threshold,
        )
    described = _describe(clip, text, wave)
    if len(audio) > SIZE_LIMITS["audio"] or len(described) > SIZE_LIMITS["json"]:
        return Rejected(key=clip.key, reason="member above the size limit")
    spectrum = windowed_spectrum(wave, SAMPLE_RATE)
    return EncodedClip(
        clip.key, audio, described, wave.size, len(text.encode()), level,
        bandwidth_hz=measure_bandwidth(spectrum),
        trimmed_sec=whole.size / SAMPLE_RATE - wave.size / SAMPLE_RATE,
        snr_db=estimate_snr(wave, SAMPLE_RATE),
        clipped=clipped_share(wave),
        recorded_lufs=recorded.lufs,
        fingerprint=_fingerprint(spectrum),
    )  # fmt: skip


def _fingerprint(spectrum: WindowedSpectrum) -> str | None:
    found = fingerprint(spectrum)
    return None if found is None else base64.b64encode(found.tobytes()).decode()


def _length_fault(key: str, wave: np.ndarray, config: ShardConfig) -> Rejected | None:
    """Return why a clip of this length is left out, if it is."""
    duration_sec = wave.size / SAMPLE_RATE
    if config.min_clip_sec <= duration_sec <= config.max_clip_sec:
        return None
    long = duration_sec > config.max_clip_sec
    return Rejected(
        key=key,
        reason="audio too long" if long else "audio too short",
        measured=duration_sec,
        threshold=config.max_clip_sec if long else config.min_clip_sec,
    )


def _describe(clip: ClipRecord, text: str, wave: np.ndarray) -> bytes:
    """Return the JSON of a clip."""
    fields = {
        "text": text,
        "language": clip.language,
        "speaker": clip.speaker,
        "duration_sec": wave.size / SAMPLE_RATE,
        "source": clip.source,
        "licence": clip.licence,
    }
    return json.dumps(fields, ensure_ascii=False).encode()


def _encode_audio(wave: np.ndarray, target_lufs: float) -> tuple[bytes, Level, Level]:
    """Return levelled FLAC, the level that the wave had, and the one that it has.

    Raises:
        WaveError: its level is none of speech.
    """
    levelled = wave.astype(np.float32)  # a copy
    level = measure_level(levelled, SAMPLE_RATE)
    buffer = io.BytesIO()
    save_wave(buffer, apply_level(levelled, level, target_lufs), SAMPLE_RATE)
    gain = level_gain(level, target_lufs)
    return buffer.getvalue(), level, level.amplified(gain)
