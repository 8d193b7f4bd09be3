"""A chain of a fit in a process of its own, without the seconds of its imports."""

from __future__ import annotations

import sys
from unittest import mock

from gsv2.fit import chain

BEFORE_FORKS = ("gsv2.fit.steps",)


def main(call: str) -> None:
    """Run what `python -m gsv2.fit.chain CALL` does."""
    with mock.patch.object(sys, "argv", ["chain", call]):
        assert chain._main() == 0
