"""Shards of an unfinished corpus that are whole: a build that was ended goes on after them.

The audio of a clip waits in a journal until its shard is whole and noted here; then the journal
gives its place back, so that the disk holds the corpus once, and one shard more.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from gsv2.data.building.shard_fingerprints import SUFFIX
from gsv2.data.building.spool import ClipSpool, SpooledClip
from gsv2.data.corpus.manifest import CorpusError, ShardEntry

WRITTEN_NAME = ".written.jsonl"
"""A line for what the corpus is made of, then a line a shard."""
_ENDS = (".tar", ".parquet", SUFFIX)
"""Files of a shard."""


class StaleJournalError(CorpusError):
    """Audio that was given back is in none of the shards: the recordings must be read again."""


class WrittenShards:
    """Whole shards in the staging folder of a corpus.

    Args:
        building: staging folder; what is in it and in no whole shard is removed.
    """

    def __init__(self, building: Path) -> None:
        self._building = building
        self._file = building / WRITTEN_NAME
        self._made_of = ""
        self._entries: dict[str, ShardEntry] = {}
        self._is_kept = False
        lines = self._file.read_text("utf-8").split("\n") if self._file.is_file() else []
        for line in lines:
            try:
                name, values = json.loads(line)
            except ValueError:  # what a kill has left of a line
                continue
            if name == "":
                self._made_of = values
            else:
                self._entries[name] = ShardEntry(**values)
        whole = {building / f"{name}{end}" for name in self._entries for end in _ENDS}
        for path in sorted(building.rglob("*"), reverse=True):
            if path.is_dir():
                shutil.rmtree(path) if path.name == ".spool" else None
            elif path not in whole | {self._file}:
                path.unlink()

    def begin(self, spool: ClipSpool, settings: str) -> None:
        """Keep the whole shards if they are made of the same clips, or drop them.

        Args:
            spool: all clips.
            settings: how they are cut into shards.

        Raises:
            StaleJournalError: they are not, and the audio of some clips is gone.
        """
        made_of = f"{settings} {spool.identity}"
        self._is_kept = spool.is_journalled
        if self._is_kept and made_of == self._made_of:
            return
        if not spool.is_whole:
            self._file.unlink()
            raise StaleJournalError("the recordings have changed since shards were written")
        self._entries.clear()
        self._file.unlink(missing_ok=True)
        if self._is_kept:
            self._note(["", made_of])

    def find(self, folder: Path, name: str) -> ShardEntry | None:
        """Return the entry of a shard of the corpus in a folder, if it is whole."""
        return self._entries.get(self._name(folder, name))

    def add(self, folder: Path, entry: ShardEntry, clips: Iterable[SpooledClip]) -> None:
        """Note a whole shard, and give back what its clips took in the journal."""
        if not self._is_kept:
            return
        for end in _ENDS:
            with (folder / f"{entry.name}{end}").open("rb") as file:
                os.fsync(file.fileno())
        self._note([self._name(folder, entry.name), asdict(entry)])
        for clip in clips:
            clip.audio.free()

    def _name(self, folder: Path, name: str) -> str:
        return (folder / name).relative_to(self._building).as_posix()

    def _note(self, values: object) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps(values))
            file.flush()
            os.fsync(file.fileno())
