"""Chain of steps in a process of its own, beside another one: `python -m gsv2.fit.chain JSON`."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gsv2.data.config import SourceConfig
from gsv2.fit.budget import TimeBudget
from gsv2.fit.corpus import FitCorpora
from gsv2.fit.journal import Journal
from gsv2.fit.runs import FitRuns
from gsv2.fit.steps import FitSteps

CHAINS: Mapping[str, tuple[str, ...]] = {
    "reading": ("aligner", "align", "shifted codes", "gpt"),
    "voice": ("vits2",),
}
"""Chain -> its steps. Both need the quantizer and the codes, and nothing of each other."""
WEIGHTS: Mapping[str, Mapping[str, float]] = {
    "reading": {"aligner": 0.38, "gpt": 0.62},
    "voice": {"vits2": 1.0},
}
"""Chain -> shares of its trainings."""
_START = "start of the process"


@dataclass(frozen=True, kw_only=True)
class ChainCall:
    """What a chain is told."""

    chain: str
    """Name in `CHAINS`."""
    seconds: float
    """Wall time of the chain in all, also that of earlier calls."""
    started: float
    """When this call began, in seconds since the epoch."""
    out: str
    corpora: FitCorpora
    seed: int
    size: str
    overrides: tuple[str, ...]
    longest_sec: float

    def to_json(self) -> str:
        """Return the call as an argument of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ChainCall:
        """Return what `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        sources = {name: SourceConfig(**of) for name, of in values.pop("corpora").items()}
        values["overrides"] = tuple(values["overrides"])
        return cls(corpora=FitCorpora(**sources), **values)


def chain_journal(out: Path, chain: str) -> Journal:
    """Return the journal of a chain."""
    return Journal.open(out / f"fit_{chain}.json", {"chain": chain})


def used_by_chain(runs: FitRuns, chain: str) -> float:
    """Return the seconds that a chain has used for what is left of them."""
    journal = chain_journal(runs.out, chain)
    seconds = dict(journal.seconds)
    for stage in WEIGHTS[chain]:
        if stage not in journal.finished:
            seconds[stage] = runs.used_sec(stage)
    return sum(seconds.values())


def run_chain(call: ChainCall) -> None:
    """Take the steps of a chain."""
    out = Path(call.out)
    journal = chain_journal(out, call.chain)
    runs = FitRuns(
        out=out,
        corpora=call.corpora,
        seed=call.seed,
        size=call.size,
        overrides=call.overrides,
        longest_sec=call.longest_sec,
    )
    journal.seconds[_START] = journal.seconds.get(_START, 0.0) + time.time() - call.started
    budget = TimeBudget(total_sec=call.seconds, weights=WEIGHTS[call.chain])
    FitSteps(runs, journal, budget).do(*CHAINS[call.chain])


def _end_with_parent() -> None:
    """Save and leave when the process is gone that started this one."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    _end_with_parent()
    try:
        run_chain(ChainCall.from_json(sys.argv[1]))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    from gsv2.training.faults.signals import exit_at_signal

    exit_at_signal()
    sys.exit(_main())
