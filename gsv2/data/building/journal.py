"""Encoded clips of an unfinished build, so that the same command goes on where it was ended."""

from __future__ import annotations

import importlib
import json
import struct
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gsv2.audio.level import Level
from gsv2.audio.wave import MAX_WAVE_SEC
from gsv2.data.building.encode import ClipRecord, EncodedClip, Rejected, ShardConfig
from gsv2.data.building.intake import encode_offered
from gsv2.data.building.offered import RecordedClip, Recording, RejectedFile, StoredClip
from gsv2.data.building.recordings import load_recording
from gsv2.data.building.stored_audio import FREED, THERE, StoredAudio
from gsv2.data.building.transcription import Transcription
from gsv2.data.process_pool import Pool
from gsv2.files import named_errors

MARK_BYTES = 12
_FRAME = struct.Struct(f"<{MARK_BYTES}sIIII")
"""Identity, bytes of head and body, CRC-32 of either; head, state of the body and body follow."""
_VERSION = 6
_SLOW_IMPORT = "pyloudnorm"
"""What measures loudness brings a second of scipy, which processes that are forked need not load
again."""
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
        others: files that are read too, and whose audio may be given back.
        with_freed: whether clips are there whose audio was given back, as shards hold it.
    """

    def __init__(self, own: Path, others: Sequence[Path] = (), *, with_freed: bool = False) -> None:
        self._own = own
        own.parent.mkdir(parents=True, exist_ok=True)
        own.touch()
        self._files: list[BinaryIO] = [own.open("r+b")]
        self._files += [path.open("r+b") for path in others if path != own]
        self._places: dict[bytes, tuple[int, int]] = {}  # identity -> file and offset
        for number, file in enumerate(self._files):
            for mark, offset, is_freed in _places(file, is_ours=number == 0):
                if with_freed or not is_freed:
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
        return _read(file, clip.file)

    def add(self, mark: bytes, encoded: Encoded) -> Encoded:
        """Add a clip, and return it with the place of its audio; `find` knows it after a start."""
        with named_errors(self._own):
            offset = _append(self._files[0], mark, encoded)
        return encoded if isinstance(encoded, Rejected) else self.read(StoredClip(0, offset))


def encoded_recordings(
    recordings: Iterable[Recording | RejectedFile],
    journal: Journal,
    encoding: Encoding,
    pool: Pool,
) -> Iterator[Encoded]:
    """Yield recordings encoded, in order; those that the journal has are not read again.

    Args:
        recordings: listed as they are needed.
        journal: open; gets what it lacks.
        encoding: how clips are encoded.
        pool: who reads, levels and encodes audio.
    """
    importlib.import_module(_SLOW_IMPORT)
    marks: deque[bytes] = deque()
    known = repr((_VERSION, asdict(encoding.config)))
    by = encoding.transcription.identity if encoding.transcription is not None else ""

    def missing() -> Iterator[Recording | RejectedFile | StoredClip]:
        for recording in recordings:
            is_silent = isinstance(recording, Recording) and recording.text is None
            marks.append(recording_mark(recording, known + by if is_silent else known))
            yield journal.find(marks[-1]) or recording

    for encoded in pool.map(partial(_load_and_encode, encoding=encoding), missing()):
        mark = marks.popleft()
        if isinstance(encoded, StoredClip):
            yield journal.read(encoded)
            continue
        yield journal.add(mark, encoded)


def _load_and_encode(
    recording: Recording | RejectedFile | StoredClip, encoding: Encoding
) -> Encoded | StoredClip:
    config = encoding.config  # silence is cut off before the limit counts
    max_sec = config.max_clip_sec if config.keep_silence_sec is None else MAX_WAVE_SEC
    loaded = load_recording(recording, encoding.transcription, max_sec)
    if isinstance(loaded, Rejected | StoredClip):
        return loaded
    encoded = encode_offered(loaded, config)
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
    known = repr((encoding, _plain(recording), stats))
    return blake2b(known.encode(errors="surrogateescape"), digest_size=MARK_BYTES).digest()


def _plain(recording: Recording | RejectedFile) -> dict[str, Any]:
    """Return what `asdict` does, which would copy every path, piece by piece."""
    return {
        name: asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
        for name, value in vars(recording).items()
    }


def _stat(path: Path) -> Any:
    return path.stat() if path.exists() else None


def _places(file: BinaryIO, *, is_ours: bool) -> Iterator[tuple[bytes, int, bool]]:
    """Yield identity, offset and whether the audio is gone, of the whole records.

    What a kill has left of a record is cut off.
    """
    offset = 0
    while len(frame := file.read(_FRAME.size)) == _FRAME.size:
        mark, head, body, head_crc, body_crc = _FRAME.unpack(frame)
        described, state, audio = file.read(head), file.read(1), file.read(body)
        is_whole = len(audio) == body and zlib.crc32(described) == head_crc
        is_freed = state == FREED
        if not is_whole or (zlib.crc32(audio) != body_crc and not is_freed):
            break
        yield mark, offset, is_freed
        offset = file.tell()
    if is_ours:
        file.truncate(offset)


def _append(file: BinaryIO, mark: bytes, encoded: Encoded) -> int:
    """Add a record, and return where it begins."""
    body = b""
    if isinstance(encoded, Rejected):
        fields: dict[str, Any] = {"rejected": asdict(encoded)}
    else:
        record, clip = encoded
        known = {name: getattr(record, name) for name in record.__dataclass_fields__}
        known.pop("wave")
        numbers = [clip.num_samples, clip.text_bytes, *clip.level, *clip[6:]]
        fields = {"clip": known, "json": clip.json.decode(), "numbers": numbers}
        body = clip.audio.read() if isinstance(clip.audio, StoredAudio) else clip.audio
    head = json.dumps(fields).encode()
    offset = file.seek(0, 2)
    checksums = zlib.crc32(head), zlib.crc32(body)
    file.write(_FRAME.pack(mark, len(head), len(body), *checksums) + head + THERE + body)
    file.flush()
    return offset


def _read(file: BinaryIO, number: int) -> Encoded:
    """Return the clip of the record at the position of a file."""
    _, head, body, _, body_crc = _FRAME.unpack(file.read(_FRAME.size))
    fields = json.loads(file.read(head))
    if "rejected" in fields:
        return RejectedFile(**fields["rejected"])
    record = RecordedClip(wave=_NO_WAVE, **fields["clip"])
    num_samples, text_bytes, lufs, peak, *measured = fields["numbers"]
    described, level = fields["json"].encode(), Level(lufs, peak)
    audio = StoredAudio(file, number, file.tell() + len(THERE), body, body_crc)
    return record, EncodedClip(
        record.key, audio, described, num_samples, text_bytes, level, *measured
    )
