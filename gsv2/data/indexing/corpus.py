"""Corpus of tars that others made as a WebDataset -> their indexes and corpus.json.

Nothing is copied: indexes lie beside the tars, or in another folder with links to the tars.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gsv2.data.corpus.manifest import (
    MANIFEST_NAME,
    CorpusError,
    Manifest,
    read_manifest,
    write_manifest,
)
from gsv2.data.indexing.format import ArchiveFormat
from gsv2.data.indexing.scan import is_current, read_scan, scan_tar
from gsv2.data.indexing.survey import Survey
from gsv2.data.process_pool import ShardPool

TOOL = "index_shards"
"""Stands as `tool` in `build` of the corpus.json that is written here."""

_PACKED = frozenset(".gz .bz2 .xz .zst .zstd .lz4 .lzma .lz .z .br".split())
"""Suffixes behind `.tar`."""
_PACKED_TARS = frozenset(".tgz .tbz .tbz2 .txz .tzst .tlz .taz".split())
ADVICE = "compressed tars cannot be read by offset: decompress them"
"""What becomes of such a tar, and what to do."""

_LOOSE = "recording outside of a tar: see gsv2 corpus build"
_NAMED = 8  # compressed tars in an error


@dataclass(frozen=True)
class _Job:
    """One tar to index."""

    name: str
    tar: Path
    index: Path


def index_corpus(
    root: Path,
    form: ArchiveFormat,
    *,
    out: Path | None = None,
    allow_damaged: bool = False,
    overwrite: bool = False,
    pool: ShardPool | None = None,
) -> Manifest:
    """Write the index of every tar below a folder, and corpus.json last.

    Tars whose index is there and that have not changed since are not read again.

    Args:
        root: folder with tars, at any depth.
        form: places of what is needed in a clip.
        out: folder of indexes, corpus.json and links to the tars; None = `root`.
        allow_damaged: index the clips before the damage of a tar.
        overwrite: replace indexes and corpus.json that another tool made.
        pool: pool of processes that scan; None = this one.

    Raises:
        CorpusError: no tar, no usable clip, a damaged tar, one key in two tars, or files of
            others in the way; names the file.
    """
    jobs = _find_jobs(root, out or root, overwrite=overwrite)
    folder = out or root
    again = {job for job in jobs if not is_current(job.tar, job.index, form)}
    if again:
        (folder / MANIFEST_NAME).unlink(missing_ok=True)  # it vouched for the old indexes
    with Survey(folder, allow_damaged=allow_damaged) as survey:
        work = [(job, form if job in again else None) for job in jobs]
        for job in (pool or ShardPool()).map(_scan, work):
            survey.add(job.name, job.tar, job.index)
        for path, why in _others(root, form.audio_suffixes):
            name = path.relative_to(root).as_posix()
            survey.leave_alone(name, why, is_tar=why != _LOOSE)
    build = {**asdict(form), "audio_suffixes": list(form.audio_suffixes)}
    manifest = survey.manifest({"tool": TOOL, "input": str(root), **build})
    write_manifest(manifest, folder)
    return manifest


def _find_jobs(root: Path, out: Path, *, overwrite: bool) -> list[_Job]:
    if not root.is_dir():
        raise CorpusError(f"corpus {root} must be a local folder, but there is none")
    tars = [tar for tar in sorted(root.rglob("*.tar")) if _is_visible_file(tar)]
    if not tars:
        packed = [path.relative_to(root).as_posix() for path in compressed_tars(root)]
        what = f"no *.tar below it, but {', '.join(packed[:_NAMED])}; {ADVICE}"
        raise CorpusError(f"corpus {root}: {what if packed else 'no *.tar below it'}")
    if out != root and out.resolve().is_relative_to(root.resolve()):
        raise CorpusError(f"out {out} must not lie inside the corpus {root}")
    out.mkdir(parents=True, exist_ok=True)
    if not os.access(out, os.W_OK):
        raise CorpusError(f"{out} is read-only; let the indexes go to another folder with --out")
    if not overwrite:
        _check_own(out)
    return [_job(tar, root, out, overwrite=overwrite) for tar in tars]


def _check_own(out: Path) -> None:
    """Check that corpus.json, if any, was written here."""
    if (out / MANIFEST_NAME).is_file() and read_manifest(out).build.get("tool") != TOOL:
        raise CorpusError(
            f"{out / MANIFEST_NAME} was made by another tool; overwrite it on purpose"
        )


def _job(tar: Path, root: Path, out: Path, *, overwrite: bool) -> _Job:
    name = tar.relative_to(root).with_suffix("").as_posix()
    index = out / f"{name}.parquet"
    if index.exists() and read_scan(index) is None and not overwrite:
        raise CorpusError(
            f"{index} is damaged or was made by another tool; overwrite it on purpose, or let the "
            "indexes go to another folder with --out"
        )
    link = out / f"{name}.tar"
    if out != root and not (link.is_symlink() and link.resolve() == tar.resolve()):
        if link.exists() or link.is_symlink():
            raise CorpusError(f"{link} is in the place of a link to {tar}; remove it")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(tar.resolve())
    return _Job(name, tar, index)


def _scan(work: tuple[_Job, ArchiveFormat | None]) -> _Job:
    """Scan a tar, if there is a format to scan it by."""
    job, form = work
    if form is not None:
        scan_tar(job.tar, job.name, job.index, form)
    return job


def compressed_tars(root: Path) -> Iterator[Path]:
    """Yield the compressed tars below a folder, in order."""
    for path in sorted(root.rglob("*")):
        if is_packed(path.name.lower()) and _is_visible_file(path):
            yield path


def _others(root: Path, audio: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """Yield the tars and the sound below a folder that are not indexed, in order, and why."""
    for path in sorted(root.rglob("*")):
        if not _is_visible_file(path) or path.suffix == ".tar":
            continue
        if is_packed(path.name.lower()):
            yield path, ADVICE
        elif path.suffix.lower() == ".tar":
            yield path, "name must end with .tar: rename it"
        elif path.suffix.lower().removeprefix(".") in audio:
            yield path, _LOOSE


def _is_visible_file(path: Path) -> bool:
    return not path.name.startswith(".") and path.is_file()


def is_packed(name: str) -> bool:
    """Tell whether a name in lower case is that of a compressed tar."""
    stem, dot, end = name.rpartition(".")
    return dot + end in _PACKED_TARS or (dot + end in _PACKED and stem.endswith(".tar"))
