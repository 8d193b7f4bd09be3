"""Tables and JSON on the standard output of a command."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

_TABLE_WIDTH = 120
"""Width in columns of a table where there is no terminal."""


def print_table(table: Table) -> None:
    """Print a table whose cells are what they are: names of files and runs are no markup."""
    Console(width=None if sys.stdout.isatty() else _TABLE_WIDTH, markup=False).print(table)


def print_json(value: Any, indent: int | None = 2) -> None:
    """Print a value as JSON; on one line if `indent` is None."""
    sys.stdout.write(json.dumps(value, indent=indent, ensure_ascii=False) + "\n")
