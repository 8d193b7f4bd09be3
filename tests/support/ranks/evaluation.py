"""Evaluation of a list, which tests/commands/test_evaluate.py has two ranks do."""

from __future__ import annotations

from gsv2.cli import app

BEFORE_FORKS = ("gsv2.commands.evaluating", "pyloudnorm")


def main(*arguments: str) -> None:
    """Call `gsv2 evaluate` with these arguments."""
    app(["evaluate", *arguments], standalone_mode=False)
