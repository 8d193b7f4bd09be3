"""Keys of recordings: safe for webdataset, one for each recording."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import blake2b

import numpy as np

from gsv2.data.building.offered import Recording, RejectedFile

_UNSAFE = re.compile(r"[^\w/-]+")
_SUFFIX_BYTES = 5


def safe_key(name: str) -> str:
    """Return a name as a key that webdataset reads back: no dots, no blanks, no leading `/`."""
    return _UNSAFE.sub("_", name).strip("/")


class KeyRegister:
    """Keys of all recordings, so that no two recordings share one.

    It sees all recordings twice: `note` finds the keys that several names would share,
    `with_own_keys` gives each of these a key of its own. A recording costs 16 bytes (32 while
    they are sorted).
    """

    def __init__(self) -> None:
        self.num_recordings = 0
        """Recordings of the first look."""
        self._repeated = np.zeros(0, dtype=np.uint64)  # keys met twice, sorted
        self._shared = np.zeros(0, dtype=np.uint64)  # those of several names, sorted
        self._places: dict[bytes, str] = {}  # name -> place, of the repeated keys

    def note(self, recordings: Iterable[Recording | RejectedFile]) -> None:
        """Look through all recordings."""
        keys, names = array("Q"), array("Q")
        for recording in recordings:
            if isinstance(recording, Recording):
                self.num_recordings += 1
                keys.append(_short(recording.key))
                names.append(_short(recording.name))
        of_key, of_name = (np.array(hashes, dtype=np.uint64) for hashes in (keys, names))
        order = np.lexsort((of_name, of_key))
        of_key, of_name = of_key[order], of_name[order]
        again = of_key[1:] == of_key[:-1]
        self._repeated = of_key[1:][again]
        self._shared = of_key[1:][again & (of_name[1:] != of_name[:-1])]

    def with_own_keys(
        self, recordings: Iterable[Recording | RejectedFile]
    ) -> Iterator[Recording | RejectedFile]:
        """Yield the recordings with keys of their own; the same one again is rejected."""
        for recording in recordings:
            if isinstance(recording, Recording) and _is_in(self._repeated, recording.key):
                yield self._of_repeated(recording)
            else:
                yield recording

    def _of_repeated(self, recording: Recording) -> Recording | RejectedFile:
        name = _hash(recording.name)
        if name in self._places:
            return RejectedFile(
                key=recording.key,
                reason="same recording or key twice",
                file=recording.place,
                value=f"{recording.name!r} stands at {self._places[name]} already",
            )
        self._places[name] = recording.place
        if not _is_in(self._shared, recording.key):
            return recording
        return replace(recording, key=f"{recording.key}-{name[:_SUFFIX_BYTES].hex()}")


def _hash(text: str) -> bytes:
    return blake2b(text.encode(errors="surrogateescape"), digest_size=12).digest()


def _short(text: str) -> int:
    return int.from_bytes(_hash(text)[:8], "little")


def _is_in(hashes: np.ndarray, text: str) -> bool:
    mark = np.uint64(_short(text))
    place = int(np.searchsorted(hashes, mark))
    return place < len(hashes) and bool(hashes[place] == mark)
