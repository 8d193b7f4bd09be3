"""Remote input and output of a build: recordings that lie afar, a corpus that is to lie there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from gsv2.data.building.offered import Recording, RejectedFile
from gsv2.data.building.suffixes import AUDIO
from gsv2.data.corpus.manifest import MANIFEST_NAME, CorpusError
from gsv2.storage.mirror import RemoteMirror, make_mirror
from gsv2.storage.object_store import ObjectFolder
from gsv2.storage.upload import upload_folder

_ARCHIVES = frozenset({".tar", ".parquet"})


def is_remote(location: str | Path) -> bool:
    """Tell whether a location is a URL."""
    return isinstance(location, str) and "://" in location


def mirror_input(url: str, root: Path) -> RemoteMirror:
    """Return the mirror of a remote input; audio is fetched when it is read.

    Raises:
        CorpusError: there is nothing, it is out of reach, or it holds archives.
    """
    try:
        mirror = make_mirror(url, root, _is_audio)
    except (OSError, ValueError) as error:
        raise CorpusError(f"input {error}") from error
    archives = (path for path in root.rglob("*") if path.suffix.lower() in _ARCHIVES)
    if (first := next(archives, None)) is not None:
        raise CorpusError(
            f"input {mirror.public_text(str(first))}: tars and Parquet files are read from this "
            "machine only; copy them"
        )
    return mirror


def _is_audio(path: PurePosixPath) -> bool:
    return path.suffix.lower() in AUDIO | _ARCHIVES


def from_afar(
    recordings: Iterable[Recording | RejectedFile], mirror: RemoteMirror
) -> Iterator[Recording | RejectedFile]:
    """Yield recordings of a mirror with the files that they stand for."""
    for found in recordings:
        if isinstance(found, RejectedFile):
            yield replace(
                found, file=mirror.public_text(found.file), value=mirror.public_text(found.value)
            )
            continue
        audio = found.audio
        remote = mirror.file(audio) if isinstance(audio, Path) else None
        yield replace(
            found,
            audio=remote or audio,
            name=mirror.public_text(found.name),
            place=mirror.public_text(found.place),
            missing_text=mirror.public_text(found.missing_text),
        )


@dataclass(frozen=True, kw_only=True)
class RemoteOutput:
    """A corpus that is built on this machine, and then moved."""

    url: str
    """Remote folder of the corpus."""
    work: Path
    """Folder of this machine for what is not there yet."""
    overwrite: bool = False
    """Replace a complete corpus."""

    @property
    def out(self) -> Path:
        """Folder that the corpus is built in."""
        return self.work / self.url.rstrip("/").rpartition("/")[2]

    @property
    def is_built(self) -> bool:
        """Whether the corpus is whole, and only to be moved."""
        return self._mark.is_file()

    def check(self) -> None:
        """Check that the remote folder may be written to.

        Raises:
            CorpusError: it holds a corpus, or is out of reach.
        """
        try:
            there = ObjectFolder(self.url).find()
        except (OSError, ValueError) as error:
            raise CorpusError(f"output {error}") from error
        is_there = any(PurePosixPath(name).name == MANIFEST_NAME for name in there)
        if is_there and not (self.overwrite or self.is_built):
            raise CorpusError(f"corpus {self.url} exists already; overwrite it or choose another")

    def move(self, progress: Callable[[int, int], object] | None = None) -> None:
        """Move the corpus; an ended call goes on."""
        self._mark.touch()
        upload_folder(self.out, self.url, last=MANIFEST_NAME, progress=progress)
        for folder in sorted(self.out.rglob("*"), reverse=True):
            folder.rmdir()
        self.out.rmdir()
        self._mark.unlink()

    @property
    def _mark(self) -> Path:
        return self.work / f".{self.out.name}.moving"
