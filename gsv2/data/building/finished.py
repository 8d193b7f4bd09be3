"""Whole shards of an unfinished sidecar corpus."""

from __future__ import annotations

import json
from collections.abc import Set
from dataclasses import asdict
from pathlib import Path

from gsv2.data.corpus.manifest import ShardEntry

_FILE = ".finished.jsonl"


class FinishedShards:
    """Entries of the shards that are whole; one line each, written after the shard."""

    def __init__(self, building: Path) -> None:
        self._file = building / _FILE
        self._entries: dict[str, tuple[ShardEntry, set[int]]] = {}
        for line in self._file.read_text("utf-8").split("\n") if self._file.is_file() else ():
            try:
                values, widths = json.loads(line)
            except ValueError:  # what a kill has left of a line
                continue
            self._entries[values["name"]] = (ShardEntry(**values), set(widths))
        self.names = frozenset(self._entries)
        """Shards that were whole at the start."""

    def add(self, entry: ShardEntry, widths: Set[int]) -> None:
        """Note a shard that is whole, with the numbers of codebooks of its clips."""
        self._entries[entry.name] = (entry, set(widths))
        with self._file.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps([asdict(entry), sorted(widths)]))

    def entry(self, name: str) -> ShardEntry:
        """Return the entry of a whole shard."""
        return self._entries[name][0]

    def widths(self, name: str) -> set[int]:
        """Return the numbers of codebooks of its clips."""
        return self._entries[name][1]

    def remove(self) -> None:
        """Remove the file."""
        self._file.unlink(missing_ok=True)
