"""Staging of a corpus: a folder that is written aside and put in place when it is whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gsv2.data.building.split import PARTS
from gsv2.data.corpus.manifest import CorpusError, is_complete
from gsv2.files import replace_folder
from gsv2.folder_lock import FolderLock

RESUME_FILE = ".resume"
REPORT_NAME = "report.html"
"""Page of a corpus."""


@contextmanager
def staged_corpus(
    out: Path, *, overwrite: bool, resume: str | None = None, progress: str | None = None
) -> Iterator[Path]:
    """Lend an empty folder beside `out` that becomes `out` when the block ends well.

    What stood at `out` stays untouched until then. A killed build leaves `.NAME.building`,
    which the next one removes, unless both are of one `resume`: then it holds what was done.

    Args:
        out: the folder to be.
        overwrite: replace a complete corpus at `out`.
        resume: what the content is made of; kept in `RESUME_FILE` while it is not whole.
        progress: name of a file in it; a folder that has one is kept, and lent as it is.

    Raises:
        InUseError: another process writes to `out`; the message names it.
        CorpusError: `out` is a complete corpus and `overwrite` is False, or it is a folder of
            other things, which is never replaced.
    """
    lock = FolderLock(
        file=out.parent / f".{out.name}.lock",
        folder=f"output {out}",
        advice="wait for it, stop it, or choose another folder",
    )
    with lock.held():
        check_place(out, overwrite=overwrite)
        building = out.parent / f".{out.name}.building"
        mark = building / (progress or RESUME_FILE)
        is_kept = mark.is_file() and (progress is not None or mark.read_text("utf-8") == resume)
        if not is_kept:
            shutil.rmtree(building, ignore_errors=True)
            building.mkdir(parents=True)
        if resume is not None:
            mark.write_text(resume, encoding="utf-8")
        try:
            yield building
            mark.unlink(missing_ok=True)
            replace_folder(building, out)
        finally:
            if not mark.is_file():
                shutil.rmtree(building, ignore_errors=True)


def is_split(out: Path) -> bool:
    """Tell whether a folder holds the corpora of a split and nothing else but their page."""
    inside = [p for p in out.iterdir() if p.name != REPORT_NAME] if out.is_dir() else []
    return bool(inside) and all(path.name in PARTS and is_complete(path) for path in inside)


def check_place(out: Path, *, overwrite: bool) -> None:
    """Check that a corpus may be written to a folder.

    Raises:
        CorpusError: see `staged_corpus`.
    """
    complete = is_complete(out) or is_split(out)
    if complete and not overwrite:
        raise CorpusError(f"corpus {out} exists already; overwrite it or choose another folder")
    if not complete and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise CorpusError(f"{out} exists and is not a corpus; remove it or choose another folder")
