"""Reader of clips, found by the index and checked by their CRC-32; local tars are memory-mapped."""

from __future__ import annotations

import mmap
import resource
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from zlib_ng import zlib_ng

from gsv2.data.config import DataConfig
from gsv2.data.corpus.decode import Clip, ClipError, decode_clip
from gsv2.data.corpus.faults import describe_fault
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.window import Window
from gsv2.data.stream.batch import BadClip
from gsv2.data.stream.members import MemberIndex
from gsv2.data.stream.sequential import SequentialReader
from gsv2.data.stream.tar_cache import TarCache, WrongTarError

_MIB = 1 << 20
_MAX_OPEN_TARS = 256
"""Most tars that stay mapped; the windows of all lanes should fit."""


def max_open_tars(file_limit: int) -> int:
    """Return how many tars stay mapped under a limit of open files (-1 = none).

    A map holds a file; a quarter of the limit leaves room for connections, libraries and logs.
    """
    if file_limit < 0:
        return _MAX_OPEN_TARS
    return max(1, min(_MAX_OPEN_TARS, file_limit // 4))


class ClipReader(Protocol):
    """Whatever gets the bytes of a clip."""

    @property
    def places(self) -> MemberIndex:
        """Index of the places of members."""

    def read(self, row: int, window: Window | None = None) -> dict[str, memoryview | bytes]:
        """Return the members of a clip, undecoded.

        These are the ones asked for, and `json` unless the index holds its content.

        Args:
            row: row of the index.
            window: window that the plan took the row from; readers that go through tars in sequence
                need it.

        Raises:
            ClipError: a member is missing or damaged.
            OSError: a remote tar stayed out of reach; the run cannot go on.
        """

    def close(self) -> None:
        """Let go of files and threads."""


class MappedReader:
    """Read any clip at any time from local tars.

    Where codes lie in sidecar tars and no audio is asked for, the JSON comes from there too.

    Args:
        members: members to read, of `audio`, `codes`; what is said always comes with them.
        cache: keeps remote tars; None = all are local.
    """

    def __init__(
        self, index: CorpusIndex, members: Sequence[str], cache: TarCache | None = None
    ) -> None:
        self.places = MemberIndex(index, members)
        self._index = index
        self._cache = cache
        self._maps: dict[str, memoryview] = {}
        self._max_open = max_open_tars(resource.getrlimit(resource.RLIMIT_NOFILE)[0])

    def read(self, row: int, window: Window | None = None) -> dict[str, memoryview | bytes]:
        """See `ClipReader.read`."""
        members: dict[str, memoryview | bytes] = {}
        for member, tar, offset, length, crc32 in self.places.shard(row).locate(row):
            mapped = self._maps.get(tar) or self._map(tar, member)
            content = mapped[offset : offset + length]
            if len(content) < length:
                raise ClipError("tar ends before the clip", member)
            if crc32 != zlib_ng.crc32(content):
                raise ClipError(f"{member} differs from its checksum", member)
            members[member] = content
        return members

    def close(self) -> None:
        """See `ClipReader.close`; what was read stays readable."""
        self._maps.clear()

    def _map(self, tar: str, member: str) -> memoryview:
        try:
            with self._open(tar) as file:
                mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except WrongTarError as error:
            raise ClipError("tar differs from its checksum", member) from error
        except (FileNotFoundError, ValueError) as error:  # ValueError: an empty file has no map
            raise ClipError("tar cannot be opened", member) from error
        except (PermissionError, IsADirectoryError, NotADirectoryError) as error:
            if not self._index.storage.is_local(tar):
                raise
            raise ClipError("tar cannot be opened", member) from error
        except OSError as error:  # of the machine, not of the data: the clips may be good
            if not self._index.storage.is_local(tar):
                raise
            raise OSError(error.errno, describe_fault(error, tar, len(self._maps))) from error
        if len(self._maps) >= self._max_open:
            del self._maps[next(iter(self._maps))]  # closed when the last view of it is gone
        self._maps[tar] = mapped
        return mapped

    def _open(self, tar: str) -> BinaryIO:
        if self._cache is None or self._index.storage.is_local(tar):
            return Path(tar).open("rb")
        return self._cache.open(tar, self._index.sha256_of(tar))


class MixedReader:
    """Map what is local, and read the rest in sequence.

    Args:
        sequential: reader of clips of which any tar is remote.
        mapped: reader of the others.
    """

    def __init__(self, sequential: SequentialReader, mapped: MappedReader) -> None:
        self.places = sequential.places
        self._sequential = sequential
        self._mapped = mapped

    def read(self, row: int, window: Window | None = None) -> dict[str, memoryview | bytes]:
        """See `ClipReader.read`."""
        if self._sequential.is_local(row):
            return self._mapped.read(row)
        return self._sequential.read(row, window)

    def close(self) -> None:
        """See `ClipReader.close`."""
        self._sequential.close()
        self._mapped.close()


def make_reader(
    index: CorpusIndex, members: Sequence[str], config: DataConfig, *, single_pass: bool = False
) -> ClipReader:
    """Return a reader of the tars of an index, wherever they lie.

    Args:
        members: members to read, of `audio`, `codes`.
        config: the `data` section.
        single_pass: whether the lanes end with their first epoch.
    """
    storage, remote = index.storage, config.remote
    tars = (tar for shard in index.shards for tar in (shard.tar, shard.codes_tar))
    texts = (shard.texts.tar for shard in index.shards if shard.texts is not None)
    if all(map(storage.is_local, chain(tars, texts))):
        return MappedReader(index, members)
    if remote.cache_dir is not None:
        cache = TarCache(storage, remote.cache_dir, remote.cache_gb)
        return MappedReader(index, members, cache)
    window_bytes = config.window_mb * _MIB
    sequential = SequentialReader(index, members, window_bytes, single_pass=single_pass)
    return MixedReader(sequential, MappedReader(index, members))


def read_clip(
    reader: ClipReader, row: int, window: Window | None = None, out: np.ndarray | None = None
) -> Clip | BadClip:
    """Read and decode one clip, and align it where nobody did and its index has what it takes.

    Args:
        row: row of the index.
        window: see `ClipReader.read`.
        out: memory for the wave, see `load_wave`.

    Returns:
        The clip, or its key, shard and the reason why it cannot be read.

    Raises:
        OSError: a remote tar stayed out of reach, or the machine cannot read a local one.
    """
    shard = reader.places.shard(row)
    key = shard.keys[row - shard.start]
    try:
        members = reader.read(row, window)
        clip = decode_clip(shard.describe(row), members, reader.places.code_format, out)
        if clip.wave is not None and shard.shift_samples:
            clip = clip._replace(wave=clip.wave[shard.shift_samples :])
        return clip if shard.align_clip is None else clip._replace(alignment=shard.align_clip(clip))
    except ClipError as error:
        return BadClip(key=key, shard=shard.tars[error.member], reason=str(error))


def read_clips(index: CorpusIndex, members: Sequence[str]) -> Iterator[Clip | BadClip]:
    """Read all clips of an index in order, e.g. to make codes of them.

    Args:
        index: index of local corpora.
        members: members to read, of `audio`, `codes`.
    """
    reader = MappedReader(index, members)
    for row in range(index.num_clips):
        yield read_clip(reader, row)
