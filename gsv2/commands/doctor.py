"""`gsv2 doctor`: what would stop a run, found before the run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from gsv2.commands.terminal import print_json, print_table
from gsv2.preflight.doctor import diagnose

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def show_findings(config_path: Path | None, overrides: Sequence[str], *, as_json: bool) -> bool:
    """Print what was found, as a table or as JSON; return whether nothing must be mended.

    Args:
        config_path: YAML file of the run; None = the machine alone is looked at.
        overrides: `section.key=value` strings.
        as_json: print one object a finding.
    """
    findings = diagnose(config_path, overrides)
    if as_json:
        print_json([finding._asdict() for finding in findings])
    else:
        table = Table("", "what", "found")
        for finding in findings:
            mark = Text(finding.status, style=_COLOURS[finding.status])
            table.add_row(mark, finding.name, finding.detail)
        print_table(table)
    return all(finding.status != "fail" for finding in findings)
