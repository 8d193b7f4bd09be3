"""BENCHMARKS rows 5 and 9 against an earlier build: a packed step of the GPT, its memory, decoding.

    python -m benchmarks.gpt_builds [--against REV] [--layers 24] [--dim 512] [--tokens 4096]
        [--context 1500] [--quick] [--rounds 7] [--out runs/bench]

Each build in processes of its own, one thread, CPU seconds, in turn. A step is forward, backward
and AdamW on one row of clips of 2 to 10 s, as long as `row_tokens` of configs/gpt/base.yaml, two
codebooks and a depth transformer. Losses and codes of the two builds are asserted to be equal
before they count. Memory is what a first step of a row of 8192 tokens takes at its peak beside what
the process had. This build takes step and memory once more under activation checkpointing
(`trainer.activation_checkpointing`), which has the same gradients. What a frame's products take
alone, the time of reading weights and cache, says how much any build could gain in decoding. By
default REV is the last build whose packed rows had a dense mask.
"""

from __future__ import annotations

import json
import tempfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.harness import Row, ratios
from benchmarks.options import option_parser, options_of
from benchmarks.revisions import ROOT, worktree
from benchmarks.workers import Worker, start_worker

BEFORE = "4833376"
MIN_STEP, MIN_DECODE, MIN_DECODE_DEPTH, MIN_DECODE_HALF = 1.4, 1.35, 1.6, 2.0
MAX_MEMORY = 0.6
_MEMORY_TOKENS = 8192
_FRAMES_OF_ROUND = 8
_TOLERANCE = 1e-4
_RECOMPUTED = {"recompute": True}
_BY_CHECKPOINTS = ", activations recomputed here"
_WORKER = Path(__file__).with_name("_gpt_worker.py")


def main() -> None:
    """Measure and report."""
    parser = option_parser(__doc__)
    parser.add_argument("--against", default=BEFORE, metavar="REV", help=f"default: {BEFORE}")
    parser.add_argument("--layers", type=int, default=24, help="of the backbone; default: 24")
    parser.add_argument("--dim", type=int, default=512, help="of the backbone; default: 512")
    parser.add_argument("--tokens", type=int, default=4096, help="of a row; default: 4096")
    parser.add_argument("--context", type=int, default=1500, help="of decoding; default: 1500")
    options, given = options_of(parser)
    if options.quick:
        given.layers, given.dim, given.tokens, given.context = 2, 64, 512, 200
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        trees = {
            "this build": ROOT,
            given.against: stack.enter_context(worktree(given.against, work / "other")),
        }
        row = stack.enter_context(Row(5, "GPT beside an earlier build", options))
        row.note(
            f"{given.layers} layers of {given.dim}, rows of {given.tokens} tokens, decoding from "
            f"{given.context} tokens on; {given.against} beside this build, one thread."
        )
        measure_memory(row, trees, given)
        for recompute in (False, True):
            measure_steps(row, trees, given, recompute=recompute)
        for codebooks, dtype, bound in (
            (1, "float32", MIN_DECODE),
            (2, "float32", MIN_DECODE_DEPTH),
            (1, "bfloat16", MIN_DECODE_HALF),
        ):
            measure_decoding(row, trees, given, codebooks, dtype, bound)


def measure_steps(
    row: Row, trees: Mapping[str, Path], given: Namespace, *, recompute: bool
) -> None:
    """Let both builds take the same step in turn; `recompute` is about this build's."""
    asked = {"do": "step", "tokens": given.tokens}
    lines = [json.dumps({**asked, **_RECOMPUTED} if recompute else asked), json.dumps(asked)]
    with ExitStack() as stack:
        workers = start_workers(stack, trees, given)
        first = [worker.ask(line) for worker, line in zip(workers, lines, strict=True)]
        assert abs(first[0]["loss"] - first[1]["loss"]) < _TOLERANCE, first
        times = in_turn(workers, lines, row.options.rounds, 1)
    report(row, f"packed step{_BY_CHECKPOINTS if recompute else ''}", times, trees, MIN_STEP)


def measure_decoding(
    row: Row, trees: Mapping[str, Path], given: Namespace, codebooks: int, dtype: str, bound: float
) -> None:
    """Let both builds decode one utterance in turn; that of before always in fp32.

    A third process does the products and the attention of such a frame alone: the limit.
    """
    asked = {"do": "decode", "codebooks": codebooks, "context": given.context}
    lines = [json.dumps({**asked, "dtype": name}) for name in (dtype, "float32")]
    lines.append(json.dumps({**asked, "do": "products", "dtype": dtype}))
    with ExitStack() as stack:
        workers = start_workers(stack, trees, given)
        workers.append(stack.enter_context(start_worker(ROOT, _WORKER, _sizes(given))))
        first = [worker.ask(line) for worker, line in zip(workers, lines, strict=True)]
        if dtype == "float32":
            assert first[0]["codes"] == first[1]["codes"], first
        here, before, limit = in_turn(workers, lines, row.options.rounds, _FRAMES_OF_ROUND)
    name = f"frame of {codebooks} codebook{'s' if codebooks > 1 else ''} decoded"
    name += "" if dtype == "float32" else f", {dtype} weights here"
    report(row, name, (here, before), trees, bound)
    row.figure(f"{name}: its products alone", [1e3 * second for second in limit], "ms")
    row.figure(f"{name}, before / its products alone", ratios(before, limit))


def measure_memory(row: Row, trees: Mapping[str, Path], given: Namespace) -> None:
    """Report the peaks of a step, each in a fresh process."""
    tokens = given.tokens if row.options.quick else _MEMORY_TOKENS
    asked = {"do": "memory", "tokens": tokens}
    title = f"memory of a step of {tokens} tokens"

    def peak(tree: Path, name: str, **more: bool) -> float:
        with start_worker(tree, _WORKER, _sizes(given)) as worker:
            gib: float = worker.ask(json.dumps({**asked, **more}))["gib"]
        row.figure(f"{title}: {name}", gib, "GiB")
        return gib

    here, before = [peak(tree, name) for name, tree in trees.items()]
    recomputed = peak(ROOT, f"this build{_BY_CHECKPOINTS}", **_RECOMPUTED)
    row.target(f"{title}, this build / before", here / before, at_most=MAX_MEMORY)
    row.target(f"{title}{_BY_CHECKPOINTS}, this build / before", recomputed / before,
               at_most=MAX_MEMORY)  # fmt: skip


def start_workers(stack: ExitStack, trees: Mapping[str, Path], given: Namespace) -> list[Worker]:
    """Start a worker of each build."""
    arguments = _sizes(given)
    return [stack.enter_context(start_worker(tree, _WORKER, arguments)) for tree in trees.values()]


def in_turn(
    workers: list[Worker], lines: list[str], rounds: int, repeats: int
) -> list[list[float]]:
    """Return the seconds of one piece of work of each worker, of every round; each begins in turn.

    Args:
        workers: this build's and that of before, and others.
        lines: what to ask each of them.
        rounds: number of rounds.
        repeats: pieces of a round, whose mean counts.
    """
    times: list[list[float]] = [[] for _ in workers]
    places = range(len(workers))
    for turn in range(rounds):
        sums = [0.0 for _ in workers]
        for _ in range(repeats):
            for place in places if turn % 2 else reversed(places):
                answer: dict[str, Any] = workers[place].ask(lines[place])
                sums[place] += answer["cpu_sec"]
        for of_worker, total in zip(times, sums, strict=True):
            of_worker.append(total / repeats)
    return times


def report(
    row: Row, name: str, times: Sequence[list[float]], names: Mapping[str, Path],
    bound: float,
) -> None:  # fmt: skip
    """Report the times of both builds, and how much faster this one is."""
    for build, seconds in zip(names, times, strict=True):
        row.figure(f"{name}: {build}", [1e3 * second for second in seconds], "ms")
    row.target(f"{name}, before / this build", ratios(times[1], times[0]), at_least=bound)


def _sizes(given: Namespace) -> list[str]:
    return [str(given.layers), str(given.dim)]


if __name__ == "__main__":
    main()
