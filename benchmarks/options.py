"""Options of the benchmarks' command lines."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

MIN_ROUNDS = 7
DEFAULT_OUT = Path("runs/bench")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What every script can be told."""

    rounds: int = MIN_ROUNDS
    """Alternations of all contenders."""
    quick: bool = False
    """Tiny inputs, one round: a smoke test, no measurement."""
    out: Path = DEFAULT_OUT
    """Folder of the results."""


def read_options(doc: str | None) -> Options:
    """Read the options of a script from the command line; `doc` is its docstring."""
    return options_of(option_parser(doc))[0]


def option_parser(doc: str | None) -> argparse.ArgumentParser:
    """Return the parser of every script's options, to which one may add its own."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=MIN_ROUNDS, help=f"at least {MIN_ROUNDS}")
    parser.add_argument("--quick", action="store_true", help="smoke test: tiny, one round")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder of the results")
    return parser


def options_of(parser: argparse.ArgumentParser) -> tuple[Options, argparse.Namespace]:
    """Read the command line: every script's options, and all values for the script's own."""
    given = parser.parse_args()
    if given.rounds < MIN_ROUNDS:
        parser.error(f"--rounds must be at least {MIN_ROUNDS}, but is {given.rounds}")
    rounds = 1 if given.quick else given.rounds
    return Options(rounds=rounds, quick=given.quick, out=given.out), given
