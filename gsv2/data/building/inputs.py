"""Inputs of a corpus: marks of the recordings that it was offered, so that what is new is known.

`inputs.bin` holds 12 bytes a recording or file: a hash of all that names it, and of its file's size
and time. One that was changed counts as new, and is then rejected by its key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

from gsv2.data.building.journal import MARK_BYTES, recording_mark
from gsv2.data.building.offered import Recording, RejectedFile
from gsv2.data.building.split import PARTS, Part
from gsv2.data.building.staging import is_split
from gsv2.data.corpus.manifest import CorpusError, is_complete
from gsv2.files import named_errors, write_atomically

INPUTS_NAME = "inputs.bin"


def corpus_parts(out: Path) -> dict[Part, Path]:
    """Return the folders of a corpus, by part; `train` alone is the whole.

    Raises:
        CorpusError: there is none.
    """
    if is_complete(out):
        return {"train": out}
    if is_split(out):
        return {part: out / part for part in PARTS if is_complete(out / part)}
    raise CorpusError(f"{out} is no corpus that recordings can be added to")


def check_apart(source: Path, out: Path) -> None:
    """Check that a build does not write into what it reads, and would read the next time.

    Raises:
        CorpusError: it would.
    """
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise CorpusError(f"the corpus {out} must not lie in its input {source}")


def known_inputs(out: Path) -> frozenset[bytes]:
    """Return the marks of the recordings that a corpus was offered.

    Raises:
        CorpusError: there is no corpus, or it does not know them.
    """
    path = corpus_parts(out)["train"] / INPUTS_NAME
    if not path.is_file():
        raise CorpusError(f"{out} has no {INPUTS_NAME}, which says what was read; build it anew")
    content = path.read_bytes()
    places = range(0, len(content), MARK_BYTES)
    return frozenset(content[place : place + MARK_BYTES] for place in places)


def new_inputs(
    recordings: Iterable[Recording | RejectedFile], known: Collection[bytes], file: Path | None
) -> Iterator[Recording | RejectedFile]:
    """Yield what is not known, and note it.

    Args:
        recordings: all that an input holds.
        known: marks of what a corpus was offered.
        file: gets the marks of what is yielded, in place of what was in it; None: none does.
    """
    with file.open("wb") if file is not None else nullcontext() as notes:
        for recording in recordings:
            if (mark := recording_mark(recording)) in known:
                continue
            if notes is not None and file is not None:
                with named_errors(file):
                    notes.write(mark)
            yield recording


def note_inputs(corpus: Path, file: Path) -> None:
    """Add the marks in a file to those that the training part of a corpus has."""
    path = corpus / INPUTS_NAME
    before = path.read_bytes() if path.is_file() else b""
    write_atomically(path, before + file.read_bytes())


def is_of_inputs(out: Path, file: Path) -> bool:
    """Tell whether a corpus is that of the marks in a file, or has none yet."""
    if not file.is_file() or not (is_complete(out) or is_split(out)):
        return False
    path = corpus_parts(out)["train"] / INPUTS_NAME
    return not path.is_file() or path.read_bytes() == file.read_bytes()
