"""Checks of clips that can be used but should be looked at: narrow, noisy, clipped, or there twice.

By default such a clip stays in the corpus and is named in `suspects.jsonl`, with what was measured
and the limit; a check that is told to reject names it in `rejected.jsonl` instead.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, NamedTuple, get_args

import numpy as np

from gsv2.data.building.encode import ClipRecord, EncodedClip
from gsv2.data.building.offered import RecordedClip, RejectedFile
from gsv2.data.building.same_sounds import MIN_LIKENESS, SameSounds
from gsv2.data.building.shard_fingerprints import decode_fingerprint
from gsv2.data.corpus.format import SAMPLE_RATE

Check = Literal["bandwidth", "noise", "clipping", "duplicates", "texts"]
CHECKS: tuple[Check, ...] = get_args(Check)
"""Names of the checks."""


@dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """What makes a clip a suspect, and which suspects are left out."""

    min_bandwidth_hz: float = 5500.0
    """Clips that hold no sound above it are suspects: telephone, or 8 kHz made 16 kHz."""
    min_snr_db: float = 10.0
    """Clips whose estimated signal-to-noise ratio is below are suspects."""
    max_clipped: float = 0.004
    """Clips of which a larger share of samples lies at a ceiling are suspects."""
    reject: Collection[Check] = ()
    """Checks whose suspects are left out of the corpus."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        if not 0 <= self.min_bandwidth_hz <= 16_000:
            raise ValueError(f"min_bandwidth_hz must be 0 to 16000, but is {self.min_bandwidth_hz}")
        if not 0 < self.max_clipped <= 1:
            raise ValueError(f"max_clipped must be above 0 and at most 1, not {self.max_clipped}")
        for name in self.reject:
            if name not in CHECKS:
                raise ValueError(f"check must be one of {', '.join(CHECKS)}, but is {name!r}")


_SOUND = struct.Struct("<QI")
"""Length and CRC-32 of encoded audio, which indexes have too."""


class KnownClip(NamedTuple):
    """A clip that is in the corpus."""

    key: str
    duration_sec: float
    num_bytes: int
    """Length of the encoded audio..."""
    crc32: int
    """...and its checksum."""
    fingerprint: np.ndarray | None
    """[SIZE] int8; None: it has none."""


class _Finding(NamedTuple):
    """What a check has found in a clip."""

    check: Check
    reason: str
    value: str
    measured: float | None = None
    threshold: float | None = None


class ClipChecks:
    """Checks of the clips of one corpus, in their order; about 290 bytes of memory a clip."""

    def __init__(self, config: CheckConfig) -> None:
        self._config = config
        self._sounds, self._texts = _FirstKeys(), _FirstKeys()
        self._same = SameSounds()

    def close(self) -> None:
        """Remove what was kept of the clips."""
        self._sounds.close()
        self._texts.close()
        self._same.close()

    def know(self, clip: KnownClip) -> None:
        """Note the sound of a clip that is in the corpus."""
        self._sounds.first(_SOUND.pack(clip.num_bytes, clip.crc32), clip.key)
        if clip.fingerprint is not None:
            self._same.note(clip.fingerprint, clip.duration_sec, clip.key)

    def suspicions(
        self, clip: ClipRecord, encoded: EncodedClip
    ) -> list[tuple[Check, RejectedFile]]:
        """Return by which checks a clip is a suspect, and why."""
        file = clip.file if isinstance(clip, RecordedClip) else ""
        findings = [*_beyond_limits(encoded, self._config), *self._repetitions(clip, encoded)]
        return [
            (
                found.check,
                RejectedFile(
                    key=clip.key,
                    reason=found.reason,
                    file=file,
                    value=found.value,
                    measured=found.measured,
                    threshold=found.threshold,
                ),
            )
            for found in findings
        ]

    def rejects(self, check: Check) -> bool:
        """Tell whether the suspects of a check are left out."""
        return check in self._config.reject

    def _encoded_otherwise(self, encoded: EncodedClip) -> _Finding | None:
        """Return which clip has the same sound at another level or through another codec."""
        if encoded.fingerprint is None:
            return None
        seconds = encoded.num_samples / SAMPLE_RATE
        found = decode_fingerprint(encoded.fingerprint)
        same = self._same.first(found, seconds, encoded.key)
        if same is None:
            return None
        key, alike = same
        value = f"it is that of {key}, encoded otherwise"
        return _Finding("duplicates", "sound of another clip", value, round(alike, 4), MIN_LIKENESS)

    def _repetitions(self, clip: ClipRecord, encoded: EncodedClip) -> Iterator[_Finding]:
        first = self._sounds.first(_SOUND.pack(*encoded.sound()), encoded.key)
        if first is not None:
            yield _Finding("duplicates", "sound of another clip", f"it is that of {first}")
        elif (same := self._encoded_otherwise(encoded)) is not None:
            yield same
        if not clip.speaker:
            return  # many may say it, or one
        said = "".join(filter(str.isalnum, clip.text.casefold()))
        known = f"{clip.source}\0{clip.speaker}\0{said}".encode(errors="surrogateescape")
        if (first := self._texts.first(known, encoded.key)) is not None:
            yield _Finding("texts", "text of another clip of the speaker", f"it is that of {first}")


def _beyond_limits(clip: EncodedClip, config: CheckConfig) -> Iterator[_Finding]:
    width, snr_db, clipped = clip.bandwidth_hz, clip.snr_db, clip.clipped
    if width is not None and width < (limit := config.min_bandwidth_hz):
        value = f"nothing above {width:.0f} Hz; {limit:.0f} Hz are wanted"
        yield _Finding("bandwidth", "audio has no high frequencies", value, width, limit)
    if snr_db is not None and snr_db < (limit := config.min_snr_db):
        value = f"signal-to-noise ratio of about {snr_db:.1f} dB; {limit:g} dB are wanted"
        yield _Finding("noise", "audio is noisy", value, snr_db, limit)
    if clipped is not None and clipped > (limit := config.max_clipped):
        value = f"{100 * clipped:.2g} % of the samples lie at a ceiling; at most {100 * limit:g} %"
        yield _Finding("clipping", "audio is clipped", value, clipped, limit)


class _FirstKeys:
    """Key of the clip that had something first; keys lie on disk."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}  # hash of the thing -> place of the key in the file
        self._keys = tempfile.TemporaryFile()

    def first(self, thing: bytes, key: str) -> str | None:
        """Return the key that came with the same thing first; None if this is the first."""
        mark = int.from_bytes(blake2b(thing, digest_size=8).digest(), "little")
        if mark not in self._places:
            self._places[mark] = self._keys.seek(0, 2)
            self._keys.write(f"{key}\n".encode(errors="surrogateescape"))
            return None
        self._keys.seek(self._places[mark])
        return self._keys.readline().decode(errors="surrogateescape").rstrip("\n")

    def close(self) -> None:
        """Remove the file."""
        self._keys.close()
