"""Run every benchmark, each in its own process, and make one table of their rows.

    python -m benchmarks [--quick] [--rounds 7] [--out runs/bench]

Writes OUT/table.md and OUT/table.json. Exits 1 if a script failed; a missed target or a void row
stands in the table and is no failure.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.options import Options, read_options

_FOLDER = Path(__file__).parent


def main() -> None:
    """Run, collect, print."""
    options = read_options(__doc__)
    for stale in options.out.glob("row-*.json"):
        stale.unlink()
    failed = [name for name in _scripts() if not _run(name, options)]
    rows = [json.loads(path.read_text()) for path in sorted(options.out.glob("row-*.json"))]
    (options.out / "table.json").write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    table = make_table(rows, failed)
    (options.out / "table.md").write_text(table, encoding="utf-8")
    print(table)
    if failed:
        raise SystemExit(1)


def make_table(rows: list[dict[str, Any]], failed: list[str]) -> str:
    """Return markdown: one line a target, then every row in full, then the machine."""
    lines = ["# Benchmarks", "", "| # | row | what | target | measured | rounds | |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        for target in row["targets"]:
            figure = target["figure"]
            verdict = "VOID" if row["void"] else "met" if target["met"] else "MISSED"
            verdict += ", smoke test" if row["quick"] else ""
            wanted = f"{target['sign']} {target['bound']:g}"
            measured = f"{figure['value']:.3g}"
            spread = f"{figure['low']:.3g} to {figure['high']:.3g}"
            what = [str(row["row"]), row["title"], figure["name"]]
            lines.append(f"| {' | '.join([*what, wanted, measured, spread, verdict])} |")
    lines += ["", *(f"**{name} failed; its row is absent.**\n" for name in failed)]
    lines += [row["markdown"] for row in rows]
    if rows:
        lines += ["## Machine", "", f"```json\n{json.dumps(rows[0]['machine'], indent=2)}\n```", ""]
    return "\n".join(lines)


def _scripts() -> list[str]:
    """Return the modules here that measure a row: those that can be run."""
    modules = sorted(_FOLDER.glob("[!_]*.py"))
    return [path.stem for path in modules if 'if __name__ == "__main__"' in path.read_text()]


def _run(name: str, options: Options) -> bool:
    """Run one script; tell whether it ended well."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--out", str(options.out.absolute())]
    command += ["--quick"] if options.quick else ["--rounds", str(options.rounds)]
    return subprocess.run(command, cwd=_FOLDER.parent, check=False).returncode == 0


if __name__ == "__main__":
    main()
