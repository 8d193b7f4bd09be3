"""Check of one shard against its index and its line of corpus.json: what is wrong, by kind."""

from __future__ import annotations

import posixpath
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from gsv2.data.corpus.code_format import CodeFormat
from gsv2.data.corpus.faults import machine_faults
from gsv2.data.corpus.manifest import ShardEntry
from gsv2.data.indexing.clip import split_name
from gsv2.data.indexing.format import AUDIO_SUFFIXES
from gsv2.data.indexing.key_set import hash_keys
from gsv2.data.indexing.scan import TarScan, read_scan
from gsv2.data.indexing.tar_walk import TarDamageError, TarMember, TarWalk
from gsv2.data.verify.content_check import check_decoded, check_json
from gsv2.data.verify.findings import Findings, Problem, short_hash
from gsv2.data.verify.index_check import check_rows, index_totals, read_index
from gsv2.data.verify.member_places import IndexedPlaces, Place, keys_of_links

_KNOWN = frozenset(AUDIO_SUFFIXES) | {"json", "codes.npy", "align.npy"}


class ShardJob(NamedTuple):
    """One shard to check."""

    root: Path
    entry: ShardEntry
    kind: Literal["audio", "codes"]
    decode: bool
    """Whether all audio and codes are decoded."""
    num_codebooks: int | None
    """K of the codes; None = unknown."""
    codebook_size: int | None = None
    """V of the codes; None = unknown."""
    code_rate_hz: float | None = None
    """Frames a second of the codes; None = unknown."""


@dataclass
class ShardReport:
    """What one shard holds, and what is wrong with it."""

    entry: ShardEntry
    problems: list[Problem]
    key_hashes: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    """[clips] uint64."""
    languages: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Language -> clips and seconds, by the index."""
    speakers: frozenset[str] = frozenset()
    largest_code: int | None = None
    """Largest of all codes that were decoded; None = no codes were."""


def check_shard(job: ShardJob) -> ShardReport:
    """Check one tar and its index, in one pass and the memory of one index."""
    entry = job.entry
    findings = Findings(entry.name)
    tar, index = job.root / f"{entry.name}.tar", job.root / f"{entry.name}.parquet"
    table = read_index(index, job.kind, findings)
    report = ShardReport(entry, [])
    if table is not None:
        check_rows(table, entry, job.kind, findings)
        report.key_hashes = hash_keys(table["key"].to_pylist())
        if job.kind == "audio":
            report.languages, report.speakers = index_totals(table)
    if not tar.is_file():
        findings.add("tar is missing", str(tar))
    else:
        check = _TarCheck(job, table, read_scan(index), findings)
        check.run(tar)
        report.largest_code = check.largest_code
    report.problems = list(findings)
    return report


class _TarCheck:
    """One pass over a tar, beside its index."""

    def __init__(
        self, job: ShardJob, table: pa.Table | None, scan: TarScan | None, findings: Findings
    ) -> None:
        self._job = job
        self._table = table
        self._scan = scan
        self._findings = findings
        self._keys = table["key"].to_pylist() if table is not None else []
        self._rejected = {key for key, _ in scan.rejected} if scan else set()
        self._places = IndexedPlaces(table, job.kind, findings, may_share=scan is not None)
        self._clip: dict[str, bytes] = {}  # members of the clip at hand, to decode
        self._row = -1
        self._scattered: set[int] = set()  # rows whose members do not follow each other
        self._unusable: set[int] = set()  # rows whose JSON cannot be used
        self._elsewhere: list[tuple[str, str]] = []  # key and member that has another name
        self._num_codebooks = job.num_codebooks  # else that of the first clip
        self.largest_code: int | None = None  # as in the report
        self._ended: set[str] = set()  # keys whose members have all been met
        self._last = ""  # key of the member before

    def run(self, tar: Path) -> None:
        """Read the tar and add what is wrong."""
        entry, add = self._job.entry, self._findings
        with machine_faults(tar), tar.open("rb") as file:
            walk = TarWalk(file)
            damage = self._walk(walk)
            sha256 = walk.finish()
            if damage:
                self._look_behind(file)
            self._decode_scattered(file)
        self._check_names(walk)
        add.expect("bytes differ from corpus.json", walk.num_bytes, entry.num_bytes)
        add.expect("SHA-256 differs from corpus.json", short_hash(sha256), short_hash(entry.sha256))
        if self._scan is not None:
            kind = "index is of another version of the tar"
            add.expect(kind, short_hash(self._scan.sha256), short_hash(entry.sha256))
        for place in self._places.left():
            missing = f"{self._keys[place.row]}: no {place.member} at its place"
            add.add("index does not fit its tar", missing)

    def _walk(self, walk: TarWalk) -> bool:
        """Check every member; tell whether the tar is damaged."""
        names: set[str] = set()
        known = set(self._keys)
        try:
            for member in walk:
                self._check_name(member, names)
                places = self._places.take(member.offset)
                for place in places:
                    self._check_member(member, place)
                if not places and self._table is not None:
                    self._check_extra(member, known)
        except TarDamageError as error:
            self._findings.add("tar is damaged", str(error))
            return True
        finally:
            self._decode()
        return False

    def _look_behind(self, file: BinaryIO) -> None:
        """Check the members behind the damage where the index says that they are."""
        for place in self._places.left():
            content = place.read(file)
            example = f"{self._keys[place.row]}: {place.member}"
            if len(content) < place.length:
                self._findings.add("tar ends before the member", example)
            elif zlib.crc32(content) != place.crc32:
                self._findings.add("content differs from its checksum", example)
        self._places.clear()

    def _check_name(self, member: TarMember, names: set[str]) -> None:
        """Members of a clip follow each other, each once; what a scan rejected was told before."""
        key, last = _key(member.name), self._last
        if member.name in names and key not in self._rejected:
            self._findings.add("member twice in the tar", member.name)
        elif (
            self._scan is None
            and key
            and key != last
            and key in self._ended
            and key not in self._rejected
        ):
            self._findings.add("key in two places of the tar", key)
        names.add(member.name)
        self._ended.add(last)
        self._last = key

    def _check_member(self, member: TarMember, place: Place) -> None:
        key = self._keys[place.row]
        if _key(member.name) != self._bare(key):
            self._elsewhere.append((key, member.name))
        if member.length != place.length:
            self._findings.add("member has another length", f"{key}: {place.member}")
        elif member.content is None:
            self._findings.add("member is above the size limit", f"{key}: {place.member}")
        elif zlib.crc32(member.content) != place.crc32:
            self._findings.add("content differs from its checksum", f"{key}: {place.member}")
        else:
            if place.member == "json":
                if not check_json(self._indexed(place.row), member.content, self._findings):
                    self._unusable.add(place.row)
            if self._job.decode:
                if place.row != self._row:
                    self._decode()
                self._row = place.row
                self._clip[place.member.removeprefix("codes_")] = member.content

    def _check_names(self, walk: TarWalk) -> None:
        """A member of another clip's name must be one that a link of the clip leads to."""
        links = keys_of_links(walk.links) if self._scan is not None else {}
        for key, name in self._elsewhere:
            if self._bare(key) not in links.get(posixpath.normpath(name), ()):
                self._findings.add("member has another name", f"{key}: {name}")

    def _check_extra(self, member: TarMember, known: set[str]) -> None:
        """A clip in the tar must be in the index, or have been rejected when that was made."""
        place = split_name(member.name)
        if place is None or place[1] not in _KNOWN or place[0] in self._rejected:
            return
        if not {place[0], f"{self._job.entry.name}/{place[0]}"} & known:
            self._findings.add("clip is not in the index", place[0])

    def _bare(self, key: str) -> str:
        """Return a key as it stands in the tar."""
        prefix = f"{self._job.entry.name}/"
        is_prefixed = self._scan is not None and key.startswith(prefix)
        return key.removeprefix(prefix) if is_prefixed else key

    def _indexed(self, row: int) -> dict[str, Any]:
        assert self._table is not None
        return {name: self._table[name][row].as_py() for name in self._table.column_names}

    def _decode(self) -> None:
        """Decode the clip at hand, if all its members are."""
        members, self._clip = self._clip, {}
        if members and len(members) < len(self._places.of_row(self._row)):
            self._scattered.add(self._row)
        elif members:
            self._check_decoded(self._row, members)

    def _decode_scattered(self, file: BinaryIO) -> None:
        """Decode the clips whose members lie apart or are shared."""
        for row in sorted(self._scattered):
            members = {}
            for place in self._places.of_row(row):
                content = place.read(file)
                if len(content) == place.length and zlib.crc32(content) == place.crc32:
                    members[place.member.removeprefix("codes_")] = content
            self._check_decoded(row, members)

    def _check_decoded(self, row: int, members: dict[str, bytes]) -> None:
        name, size = self._job.entry.name, self._job.codebook_size
        form = CodeFormat(self._num_codebooks, size, self._job.code_rate_hz)
        if row not in self._unusable:
            codes = check_decoded(self._indexed(row), name, members, form, self._findings)
            if codes is not None:
                self._num_codebooks = self._num_codebooks or len(codes)
                self.largest_code = max(self.largest_code or 0, int(codes.max()))


def _key(name: str) -> str:
    """Return the key of a member; "" if it belongs to no clip."""
    place = split_name(name)
    return place[0] if place else ""
