"""Keys of recordings: safe for webdataset, one for each recording."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import blake2b

from gsv2.data.building.offered import Recording, RejectedFile

_UNSAFE = re.compile(r"[^\w/-]+")
_SUFFIX_BYTES = 5


def safe_key(name: str) -> str:
    """Return a name as a key that webdataset reads back: no dots, no blanks, no leading `/`."""
    return _UNSAFE.sub("_", name).strip("/")


class KeyRegister:
    """Keys of all recordings, so that no two recordings share one.

    It sees all recordings twice: `note` finds the keys that several names would share,
    `with_own_keys` gives each of these a key of its own. A recording costs about 150 bytes.
    """

    def __init__(self) -> None:
        self._first: dict[bytes, bytes] = {}  # key -> name that had it first
        self._repeated: set[bytes] = set()  # keys met twice
        self._shared: set[bytes] = set()  # those of several names
        self._places: dict[bytes, str] = {}  # name -> place, of the repeated keys

    def note(self, recordings: Iterable[Recording | RejectedFile]) -> None:
        """Look through all recordings."""
        for recording in recordings:
            if isinstance(recording, Recording):
                key, name = _hash(recording.key), _hash(recording.name)
                first = self._first.setdefault(key, name)
                if first != name:
                    self._shared.add(key)
                if first is not name:
                    self._repeated.add(key)

    def with_own_keys(
        self, recordings: Iterable[Recording | RejectedFile]
    ) -> Iterator[Recording | RejectedFile]:
        """Yield the recordings with keys of their own; the same one again is rejected."""
        for recording in recordings:
            if isinstance(recording, Recording) and _hash(recording.key) in self._repeated:
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
        if _hash(recording.key) not in self._shared:
            return recording
        return replace(recording, key=f"{recording.key}-{name[:_SUFFIX_BYTES].hex()}")


def _hash(text: str) -> bytes:
    return blake2b(text.encode(errors="surrogateescape"), digest_size=12).digest()
