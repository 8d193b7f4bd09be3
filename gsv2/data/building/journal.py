"""Encoded clips of an unfinished build, so that the same command goes on where it was ended."""

from __future__ import annotations

import json
import struct
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
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
from gsv2.data.process_pool import map_ahead
from gsv2.files import named_errors

_FRAME = struct.Struct("<12sIII")  # identity, bytes of head and body, CRC-32 of both
_VERSION = 3
_NO_WAVE = np.zeros(0, dtype=np.float32)

Encoded = tuple[ClipRecord, EncodedClip] | Rejected


def encoded_recordings(
    recordings: Iterable[Recording | RejectedFile], path: Path, config: ShardConfig, workers: int
) -> Iterator[Encoded]:
    """Yield recordings encoded, in order; those that the journal has are not read again.

    Args:
        recordings: listed as they are needed.
        path: the journal, made if need be. It is the caller's to remove.
        config: how clips are encoded.
        workers: processes that read, level and encode audio; 0 does it in this one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    marks: deque[bytes] = deque()
    with path.open("r+b") as file:
        places = _places(file)

        def missing() -> Iterator[Recording | RejectedFile | StoredClip]:
            for recording in recordings:
                mark = _identity(recording, config)
                marks.append(mark)
                yield StoredClip(places[mark]) if mark in places else recording

        work = partial(_load_and_encode, config=config)
        for encoded in map_ahead(work, missing(), workers):
            mark = marks.popleft()
            if isinstance(encoded, StoredClip):
                file.seek(encoded.offset)
                yield _read(file)
                continue
            with named_errors(path):
                _append(file, mark, encoded)
            yield encoded


def _load_and_encode(
    recording: Recording | RejectedFile | StoredClip, config: ShardConfig
) -> Encoded | StoredClip:
    loaded = load_recording(recording)
    if isinstance(loaded, Rejected | StoredClip):
        return loaded
    encoded = encode_offered(loaded, config)
    if isinstance(encoded, Rejected):
        return encoded
    record, clip = encoded
    return replace(record, wave=_NO_WAVE), clip  # the wave is not needed any more, and large


def _identity(recording: Recording | RejectedFile, config: ShardConfig) -> bytes:
    """Return what changes with anything that the encoded clip is made of."""
    files = []
    if isinstance(recording, Recording):
        audio = recording.audio
        files = [audio if isinstance(audio, Path) else audio.path]
        files += [recording.text] if isinstance(recording.text, Path) else []
    stats = [(s.st_size, s.st_mtime_ns) if (s := _stat(path)) else None for path in files]
    known = repr((_VERSION, asdict(recording), asdict(config), stats))
    return blake2b(known.encode(errors="surrogateescape"), digest_size=12).digest()


def _stat(path: Path) -> Any:
    return path.stat() if path.exists() else None


def _places(file: BinaryIO) -> dict[bytes, int]:
    """Return identity -> offset of the whole records; what a kill has left of one is cut off."""
    places = {}
    offset = 0
    while len(frame := file.read(_FRAME.size)) == _FRAME.size:
        mark, head, body, crc = _FRAME.unpack(frame)
        content = file.read(head + body)
        if len(content) < head + body or zlib.crc32(content) != crc:
            break
        places[mark] = offset
        offset = file.tell()
    file.truncate(offset)
    return places


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
