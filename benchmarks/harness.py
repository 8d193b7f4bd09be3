"""One row of the table of benchmarks: probes, alternating runs, medians, targets.

A script measures one row of BENCHMARKS (README, "What is fast"):

    def main() -> None:
        options = read_options(__doc__)
        with Row(3, "token shards", options) as row:
            assert ours() == theirs()  # agreement first, then time
            times = row.alternate({"limit": limit, "gsv2": ours, "peer": theirs})
            row.rate("gsv2", times["gsv2"], num_clips, "clips/s")
            row.target("x peer", ratios(times["peer"], times["gsv2"]), at_least=8.0)

    python -m benchmarks.NAME [--quick] [--rounds 7] [--out runs/bench]

Leaving the block probes the machine again, voids the row if a probe moved by more than 15 %,
prints markdown and writes OUT/row-NN-NAME.json. `python -m benchmarks` runs every script and
makes one table.
"""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Literal

import pyarrow as pa
import torch

from benchmarks.options import Options
from benchmarks.probes import describe_machine, probe_machine

MAX_DRIFT = 0.15
"""A row is void if any probe moved by more than this share while it ran."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number of a row."""

    name: str
    value: float
    """Median over the rounds."""
    low: float
    """Lowest round."""
    high: float
    """Highest round."""
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A figure that must reach a bound."""

    figure: Figure
    bound: float
    sign: Literal[">=", "<="]

    @property
    def met(self) -> bool:
        """Whether the median reaches the bound."""
        value = self.figure.value
        return value >= self.bound if self.sign == ">=" else value <= self.bound


def ratios(numerator: Sequence[float], denominator: Sequence[float]) -> list[float]:
    """Return the ratio of every round, of times that were measured side by side."""
    return [a / b for a, b in zip(numerator, denominator, strict=True)]


@dataclass
class Row:
    """One row of BENCHMARKS, as a context: it computes on one thread between two probes."""

    number: int
    title: str
    options: Options = field(default_factory=Options)
    figures: list[Figure] = field(default_factory=list, init=False)
    targets: list[Target] = field(default_factory=list, init=False)
    notes: list[str] = field(default_factory=list, init=False)
    before: dict[str, float] = field(default_factory=dict, init=False)
    after: dict[str, float] = field(default_factory=dict, init=False)
    _threads: tuple[int, int, int] = field(default=(1, 1, 1), init=False, repr=False)

    def __enter__(self) -> Row:
        self._threads = torch.get_num_threads(), pa.cpu_count(), pa.io_thread_count()
        _set_threads(1, 1, 1)
        self.before = probe_machine(quick=self.options.quick)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.after = probe_machine(quick=self.options.quick)
            self._write()
            print(self.markdown())
        _set_threads(*self._threads)

    @property
    def drift(self) -> float:
        """Largest share by which a probe moved."""
        return max(abs(self.after[name] / value - 1) for name, value in self.before.items())

    @property
    def is_void(self) -> bool:
        """Whether the machine changed too much for the row to count."""
        return self.drift > MAX_DRIFT

    def alternate(
        self,
        contenders: Mapping[str, Callable[[], object]],
        *,
        clock: Callable[[], float] = time.process_time,
    ) -> dict[str, list[float]]:
        """Run all contenders in turn, `options.rounds` times; each once before, unmeasured.

        Args:
            contenders: name -> what to time.
            clock: process time for one thread; `time.perf_counter` for several processes.

        Returns:
            Name -> seconds of each round.
        """
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for run in contenders.values():
            run()
        names = list(contenders)
        for turn in range(self.options.rounds):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                gc.collect()
                start = clock()
                contenders[name]()
                times[name].append(clock() - start)
        return times

    def figure(self, name: str, values: float | Sequence[float], unit: str = "") -> Figure:
        """Report a number, or the median and spread of one a round."""
        rounds = [values] if isinstance(values, int | float) else values
        median = statistics.median(rounds)
        made = Figure(name=name, value=median, low=min(rounds), high=max(rounds), unit=unit)
        self.figures.append(made)
        return made

    def rate(self, name: str, seconds: Sequence[float], count: float, unit: str) -> Figure:
        """Report how many of something were done a second."""
        return self.figure(name, [count / duration for duration in seconds], unit)

    def target(
        self,
        name: str,
        values: float | Sequence[float],
        *,
        at_least: float | None = None,
        at_most: float | None = None,
        unit: str = "",
    ) -> Target:
        """Report a figure with its bound; exactly one of `at_least` and `at_most`."""
        if (at_least is None) == (at_most is None):
            raise ValueError(f"target {name}: give exactly one of at_least and at_most")
        bound, sign = (at_least, ">=") if at_most is None else (at_most, "<=")
        made = Target(figure=self.figure(name, values, unit), bound=bound, sign=sign)
        self.targets.append(made)
        return made

    def note(self, text: str) -> None:
        """Add a sentence: what was compared, which peer is absent."""
        self.notes.append(text)

    def markdown(self) -> str:
        """Return the row as markdown."""
        state = " (smoke test, no measurement)" if self.options.quick else ""
        lines = [f"## Row {self.number}: {self.title}{state}", ""]
        if self.is_void:
            lines += [f"**VOID: a probe of the machine moved by {self.drift:.0%}**", ""]
        lines += ["| figure | median | from | to | target |", "| --- | --- | --- | --- | --- |"]
        bounds = {id(target.figure): target for target in self.targets}
        for one in self.figures:
            target = bounds.get(id(one))
            wanted = f"{target.sign} {target.bound:g} {_verdict(target.met)}" if target else ""
            spread = f"{one.low:.4g} | {one.high:.4g}"
            lines.append(f"| {one.name} | {one.value:.4g} {one.unit} | {spread} | {wanted} |")
        moved = [f"{k} {v:.4g} -> {self.after[k]:.4g}" for k, v in self.before.items()]
        return "\n".join([*lines, "", *self.notes, f"Probes: {'; '.join(moved)}.", ""])

    def _write(self) -> None:
        values = {
            "row": self.number,
            "title": self.title,
            "quick": self.options.quick,
            "rounds": self.options.rounds,
            "void": self.is_void,
            "drift": self.drift,
            "figures": [asdict(one) for one in self.figures],
            "targets": [{**asdict(one), "met": one.met} for one in self.targets],
            "notes": self.notes,
            "probes": {"before": self.before, "after": self.after},
            "machine": describe_machine(),
            "markdown": self.markdown(),
        }
        self.options.out.mkdir(parents=True, exist_ok=True)
        name = f"row-{self.number:02d}-{self.title.split(',')[0].replace(' ', '-')}.json"
        text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
        (self.options.out / name).write_text(text, encoding="utf-8")


def _set_threads(computing: int, arrow: int, reading: int) -> None:
    torch.set_num_threads(computing)
    pa.set_cpu_count(arrow)
    pa.set_io_thread_count(reading)


def _verdict(met: bool) -> str:
    return "met" if met else "MISSED"
