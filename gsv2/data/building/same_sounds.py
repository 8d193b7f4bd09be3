"""Search for recordings that are there already in another encoding, by their fingerprints.

A clip is compared with those that last about as long and share 14 bits at one of eight places of a
hash of their fingerprints (random hyperplanes), which 98 of 100 do whose likeness is .98, and 88
whose likeness is .95. It costs 90 bytes of memory; fingerprints and keys lie on disk.
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator

import numpy as np

from gsv2.audio.fingerprint import SIZE, likeness

MIN_LIKENESS = 0.95
"""Cosine of two fingerprints from which they are of one recording."""
_BANDS, _BAND_BITS = 8, 14
_HASH_BITS = 64
"""First bits of a hash that are kept whole..."""
_MAX_DIFFERING_BITS = 16
"""...of which no more may differ."""
_MAX_SEC, _MAX_SHARE = 0.15, 0.02
"""Difference of the durations: codecs pad both ends."""


class SameSounds:
    """Fingerprints of the clips of a corpus, in their order."""

    def __init__(self) -> None:
        planes = np.random.default_rng(0).standard_normal((SIZE, _BANDS * _BAND_BITS))
        self._planes = planes.astype(np.float32)
        self._last = np.full((_BANDS, 1 << _BAND_BITS), -1, dtype=np.int64)
        self._before = array("q")  # of each clip and band: the clip before with the same bits
        self._hashes, self._seconds, self._keys = array("Q"), array("d"), array("q")
        self._prints, self._names = tempfile.TemporaryFile(), tempfile.TemporaryFile()

    def first(self, found: np.ndarray, seconds: float, key: str) -> tuple[str, float] | None:
        """Return the key of the clip that has the same sound, and their likeness; note the clip.

        Args:
            found: fingerprint [SIZE] int8.
            seconds: duration.
            key: key of the clip.
        """
        packed, number = self._hash(found)
        best: tuple[float, int] | None = None
        for other in sorted(set(self._candidates(packed, number, seconds))):
            alike = likeness(found, self._print(other))
            if alike >= MIN_LIKENESS and (best is None or alike > best[0]):
                best = alike, other
        self._add(found, packed, number, seconds, key)
        return None if best is None else (self._name(best[1]), best[0])

    def note(self, found: np.ndarray, seconds: float, key: str) -> None:
        """Note a clip that is compared with no other, as `first` does."""
        self._add(found, *self._hash(found), seconds, key)

    def close(self) -> None:
        """Remove the files."""
        self._prints.close()
        self._names.close()

    def _hash(self, found: np.ndarray) -> tuple[np.ndarray, int]:
        """Return the bits of each band [bands], and the first bits of all."""
        bits = found.astype(np.float32) @ self._planes > 0
        packed = bits.reshape(_BANDS, _BAND_BITS) @ (1 << np.arange(_BAND_BITS))
        return packed, int(np.packbits(bits[:_HASH_BITS]).view(np.uint64)[0])

    def _candidates(self, packed: np.ndarray, number: int, seconds: float) -> Iterator[int]:
        most = max(_MAX_SEC, _MAX_SHARE * seconds)
        for band in range(_BANDS):
            other = int(self._last[band, packed[band]])
            while other >= 0:
                if abs(self._seconds[other] - seconds) <= most:
                    if (self._hashes[other] ^ number).bit_count() <= _MAX_DIFFERING_BITS:
                        yield other
                other = self._before[other * _BANDS + band]

    def _add(
        self, found: np.ndarray, packed: np.ndarray, number: int, seconds: float, key: str
    ) -> None:
        clip = len(self._seconds)
        for band in range(_BANDS):
            self._before.append(int(self._last[band, packed[band]]))
            self._last[band, packed[band]] = clip
        self._hashes.append(number)
        self._seconds.append(seconds)
        self._prints.seek(0, 2)
        self._prints.write(found.tobytes())
        self._keys.append(self._names.seek(0, 2))
        self._names.write(f"{key}\n".encode(errors="surrogateescape"))

    def _print(self, clip: int) -> np.ndarray:
        self._prints.seek(clip * SIZE)
        return np.frombuffer(self._prints.read(SIZE), dtype=np.int8)

    def _name(self, clip: int) -> str:
        self._names.seek(self._keys[clip])
        return self._names.readline().decode(errors="surrogateescape").rstrip("\n")
