"""Commands and Python blocks that README and docs show."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CELL = re.compile(r"^\|.*\| `((?:gsv2|python|make) [^`]+)` \|$", re.MULTILINE)
CONTINUED = re.compile(r"\\\n\s*")

NOT_RUN = {
    "make setup": "makes the environment that the suite runs in",
    ". .venv/bin/activate": "the same",
    "pre-commit install": "changes the checkout",
    "make lint": "beside the suite, in CI",
    "make test": "is the suite",
    "make test-long": "is the suite",
    "make test-slow": "is the suite",
    "make docs": "tests/docs/test_config_page.py compares its result",
    "make quickstart": "tests/integration/test_quickstart.py",
    "gsv2 fit": "takes the time that it is given; tests/integration/test_fit.py",
    "accelerate launch --multi_gpu": "needs 8 GPUs",
    "accelerate launch --config_file launch/accelerate/multi_node.yaml": "needs two machines",
    "gsv2 train configs/quantizer/base.yaml": "tests/integration/test_pretrained_encoders.py",
    "gsv2 corpus extract-text": "needs pretrained weights; tests/inference/test_text_extraction.py",
    "gsv2 train configs/gpt/base.yaml": "the same; tests/integration/test_text_vectors.py and "
    "tests/stages/test_gpt_start.py",
    "gsv2 train configs/dpo/debug.yaml": "needs a GPT by attention; tests/stages/test_dpo.py",
    "gsv2 serve": "serves until it is stopped; tests/serve, tests/commands/test_serve.py",
    "gsv2 import": "needs a checkpoint; tests/hub/test_gpt_sovits.py writes one",
    "gsv2 voice mix": "needs two voices; tests/commands/test_voice.py",
    "curl": "asks a server",
    "gsv2 corpus build --input PODCASTS": "tests/data/building/test_transcription.py",
    "gsv2 corpus build --input s3://bucket/recordings": "tests/data/building/test_remote.py",
    "sbatch": "needs Slurm; tests/launch/test_slurm.py has a stand-in",
    "kubectl": "needs Kubernetes; tests/launch/test_kubeflow.py reads the files",
    "python launch/node.py --ranks 8": "8 ranks of the base model; tests/launch/test_preflight.py",
}
"""How a command begins -> why no test of docs runs it."""


class Shown(NamedTuple):
    """A command or a block of a page."""

    page: str
    text: str

    @property
    def reason(self) -> str | None:
        """Why it is not run; None if it is."""
        found = [why for start, why in NOT_RUN.items() if f"{self.text} ".startswith(f"{start} ")]
        return found[0] if found else None

    def __str__(self) -> str:
        return f"{self.page}: {self.text.splitlines()[0][:80]}"


def shown_commands() -> list[Shown]:
    """Return the commands of all pages, each once."""
    found: dict[str, Shown] = {}
    for page in PAGES:
        for command in _commands(page):
            found.setdefault(command, Shown(page.name, command))
    return list(found.values())


def shown_python() -> list[Shown]:
    """Return the Python blocks of all pages."""
    blocks = [(page, BLOCK.findall(page.read_text())) for page in PAGES]
    return [Shown(p.name, text) for p, found in blocks for kind, text in found if kind == "python"]


def _commands(page: Path) -> Iterator[str]:
    text = page.read_text()
    yield from CELL.findall(text)
    for kind, block in BLOCK.findall(text):
        if kind == "bash":
            for line in CONTINUED.sub(" ", block).splitlines():
                words = shlex.split(line, comments=True, posix=False)
                yield from filter(None, " ".join(words).split(" && "))
