"""Encoded clips of an unfinished build, so that the same command goes on where it was ended."""

from __future__ import annotations

import json
import struct
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gsv2.audio.level import Level
from gsv2.data.building.encode import ClipRecord, EncodedClip, Rejected, ShardConfig
from gsv2.data.building.intake import encode_offered
from gsv2.data.building.offered import RecordedClip, Recording, RejectedFile, StoredClip
from gsv2.data.building.recordings import load_recording
from gsv2.data.building.transcription import Transcription
from gsv2.data.process_pool import map_ahead
from gsv2.files import named_errors

MARK_BYTES = 12
_FRAME = struct.Struct(f"<{MARK_BYTES}sIII")  # identity, bytes of head and body, CRC-32 of both
_VERSION = 4
_NO_WAVE = np.zeros(0, dtype=np.float32)

Encoded = tuple[ClipRecord, EncodedClip] | Rejected


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How recordings become encoded clips."""

    config: ShardConfig
    """Limits and loudness of clips."""
    transcription: Transcription | None = None
    """Writes down recordings without a text; None: they are left out."""


class Journal:
    """Encoded clips of an unfinished build: a file that is added to, and those of other tasks.

    A clip costs about 150 bytes of memory.

    Args:
        own: file of this process, made if need be; it is the caller's to remove.
        others: files that are read too.
    """

    def __init__(self, own: Path, others: Sequence[Path] = ()) -> None:
        self._own = own
        own.parent.mkdir(parents=True, exist_ok=True)
        own.touch()
        self._files: list[BinaryIO] = [own.open("r+b")]
        self._files += [path.open("rb") for path in others if path != own]
        self._places: dict[bytes, tuple[int, int]] = {}  # identity -> file and offset
        for number, file in enumerate(self._files):
            for mark, offset in _places(file, is_ours=number == 0):
                self._places.setdefault(mark, (number, offset))

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def find(self, mark: bytes) -> StoredClip | None:
        """Return where the clip of an identity lies; None if it is not there."""
        return StoredClip(*self._places[mark]) if mark in self._places else None

    def read(self, clip: StoredClip) -> Encoded:
        """Return a clip that is there."""
        file = self._files[clip.file]
        file.seek(clip.offset)
        return _read(file)

    def add(self, mark: bytes, encoded: Encoded) -> None:
        """Add a clip; it is not found before the next start."""
        with named_errors(self._own):
            _append(self._files[0], mark, encoded)


def encoded_recordings(
    recordings: Iterable[Recording | RejectedFile],
    journal: Journal,
    encoding: Encoding,
    workers: int,
) -> Iterator[Encoded]:
    """Yield recordings encoded, in order; those that the journal has are not read again.

    Args:
        recordings: listed as they are needed.
        journal: open; gets what it lacks.
        encoding: how clips are encoded.
        workers: processes that read, level and encode audio; 0 does it in this one.
    """
    marks: deque[bytes] = deque()
    known = repr((_VERSION, asdict(encoding.config)))
    by = encoding.transcription.identity if encoding.transcription is not None else ""

    def missing() -> Iterator[Recording | RejectedFile | StoredClip]:
        for recording in recordings:
            is_silent = isinstance(recording, Recording) and recording.text is None
            marks.append(recording_mark(recording, known + by if is_silent else known))
            yield journal.find(marks[-1]) or recording

    for encoded in map_ahead(partial(_load_and_encode, encoding=encoding), missing(), workers):
        mark = marks.popleft()
        if isinstance(encoded, StoredClip):
            yield journal.read(encoded)
            continue
        journal.add(mark, encoded)
        yield encoded


def _load_and_encode(
    recording: Recording | RejectedFile | StoredClip, encoding: Encoding
) -> Encoded | StoredClip:
    loaded = load_recording(recording, encoding.transcription)
    if isinstance(loaded, Rejected | StoredClip):
        return loaded
    encoded = encode_offered(loaded, encoding.config)
    if isinstance(encoded, Rejected):
        return encoded
    record, clip = encoded
    return replace(record, wave=_NO_WAVE), clip  # the wave is not needed any more, and large


def recording_mark(recording: Recording | RejectedFile, encoding: str = "") -> bytes:
    """Return what changes with anything that an encoded clip is made of.

    Args:
        recording: what was listed; its files by size and time.
        encoding: how it is encoded.
    """
    files = []
    if isinstance(recording, Recording):
        audio = recording.audio
        files = [audio if isinstance(audio, Path) else audio.path]
        files += [recording.text] if isinstance(recording.text, Path) else []
    stats = [(s.st_size, s.st_mtime_ns) if (s := _stat(path)) else None for path in files]
    known = repr((encoding, asdict(recording), stats))
    return blake2b(known.encode(errors="surrogateescape"), digest_size=MARK_BYTES).digest()


def _stat(path: Path) -> Any:
    return path.stat() if path.exists() else None


def _places(file: BinaryIO, *, is_ours: bool) -> Iterator[tuple[bytes, int]]:
    """Yield identity and offset of the whole records; what a kill has left of one is cut off."""
    offset = 0
    while len(frame := file.read(_FRAME.size)) == _FRAME.size:
        mark, head, body, crc = _FRAME.unpack(frame)
        content = file.read(head + body)
        if len(content) < head + body or zlib.crc32(content) != crc:
            break
        yield mark, offset
        offset = file.tell()
    if is_ours:
        file.truncate(offset)


def _append(file: BinaryIO, mark: bytes, encoded: Encoded) -> None:
    body = b""
    if isinstance(encoded, Rejected):
        fields: dict[str, Any] = {"rejected": asdict(encoded)}
    else:
        record, clip = encoded
        known = {name: getattr(record, name) for name in record.__dataclass_fields__}
        known.pop("wave")
        numbers = [clip.num_samples, clip.text_bytes, *clip.level, *clip[6:]]
        fields = {"clip": known, "json": clip.json.decode(), "numbers": numbers}
        body = clip.audio
    content = json.dumps(fields).encode() + body
    file.seek(0, 2)
    file.write(_FRAME.pack(mark, len(content) - len(body), len(body), zlib.crc32(content)))
    file.write(content)
    file.flush()


def _read(file: BinaryIO) -> Encoded:
    _, head, body, _ = _FRAME.unpack(file.read(_FRAME.size))
    fields = json.loads(file.read(head))
    if "rejected" in fields:
        return RejectedFile(**fields["rejected"])
    record = RecordedClip(wave=_NO_WAVE, **fields["clip"])
    num_samples, text_bytes, lufs, peak, *measured = fields["numbers"]
    described, level = fields["json"].encode(), Level(lufs, peak)
    return record, EncodedClip(
        record.key, file.read(body), described, num_samples, text_bytes, level, *measured
    )
