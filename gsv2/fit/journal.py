"""Journal of a chain of steps: what is done, and the seconds that each step has used."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gsv2.files import write_atomically

logger = logging.getLogger(__name__)


@dataclass
class Journal:
    """A JSON file that is written after every step, also after one that was broken off."""

    path: Path
    arguments: Mapping[str, Any]
    """What the results depend on, as JSON has it."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Step -> wall time that it has used, over all calls."""
    finished: list[str] = field(default_factory=list)
    """Steps that are done."""

    @classmethod
    def open(cls, path: Path, arguments: Mapping[str, Any]) -> Journal:
        """Continue a journal, or start one.

        Raises:
            ValueError: it is damaged, or of other arguments.
        """
        wanted = json.loads(json.dumps(dict(arguments)))
        if not path.is_file():
            return cls(path, wanted)
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            made = dict(found["arguments"])
            seconds = {str(name): float(value) for name, value in found["seconds"].items()}
            finished = [str(name) for name in found["finished"]]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(
                f"{path} is damaged ({error}); delete the folder {path.parent}"
            ) from error
        if made != wanted:
            raise ValueError(
                f"{path.parent} holds what was made with {_format_arguments(made)}, not with "
                f"{_format_arguments(wanted)}; choose another --out or delete the folder"
            )
        return cls(path, made, seconds, finished)

    def run(
        self, name: str, step: Callable[[], object], used: Callable[[], float] | None = None
    ) -> None:
        """Run a step unless it is done.

        Args:
            name: name of the step.
            step: what is done; one that was broken off goes on by itself.
            used: returns the seconds that earlier calls have used for what is left of them, where
                the step's own files tell; else those that the journal knows of.
        """
        if name in self.finished:
            return
        logger.info("%s", name)
        before = self.seconds.get(name, 0.0) if used is None else used()
        start = time.monotonic()
        try:
            step()
        except BaseException:
            self._note(name, before + time.monotonic() - start)
            raise
        self.finished.append(name)
        self._note(name, before + time.monotonic() - start)

    def _note(self, name: str, seconds: float) -> None:
        self.seconds[name] = seconds
        values = {
            "arguments": self.arguments,
            "seconds": self.seconds,
            "finished": self.finished,
        }
        write_atomically(self.path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def _format_arguments(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in arguments.items())
