"""Pipeline of the quickstart: every step from nothing to a spoken sentence, each resumable."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import torch

from gsv2.config import load_config
from gsv2.files import write_whole
from gsv2.inference.bundle import export_bundle
from gsv2.inference.extraction import extract_codes
from gsv2.quickstart.demo_corpus import make_demo_corpus
from gsv2.quickstart.report import write_report
from gsv2.quickstart.report_data import ReportData, StepTime
from gsv2.quickstart.summary import collect
from gsv2.shipped import shipped_folder
from gsv2.stages import SCHEMAS
from gsv2.train import main as train
from gsv2.training.telemetry.progress import counting_bar

log = logging.getLogger(__name__)

CONFIGS = shipped_folder("configs")
CORPUS_MINUTES = 45.0
STAGES = ("quantizer", "gpt", "vits2")


@dataclass
class Journal:
    """`OUT/quickstart.json`: the arguments of the demonstration and the seconds of its steps."""

    path: Path
    seed: int
    scale: float
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def open(cls, out: Path, seed: int, scale: float) -> Journal:
        """Continue the journal in `out`, or start one.

        Raises:
            ValueError: `out` holds a quickstart of other arguments.
        """
        path = out / "quickstart.json"
        if not path.is_file():
            return cls(path, seed, scale)
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            made, seconds = (found["seed"], found["scale"]), dict(found["seconds"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ValueError(f"{path} is damaged ({error}); delete the folder {out}") from error
        if made != (seed, scale):
            raise ValueError(
                f"{out} holds a quickstart of seed {made[0]} and scale {made[1]}, not "
                f"of seed {seed} and scale {scale}; choose another --out or delete the folder"
            )
        return cls(path, seed, scale, seconds)

    def run(self, name: str, step: Callable[[], object]) -> None:
        """Run a step; time it unless an earlier call of the command has finished it."""
        log.info("quickstart: %s", name)
        start = time.monotonic()
        step()
        self.seconds.setdefault(name, time.monotonic() - start)
        values = {key: value for key, value in asdict(self).items() if key != "path"}
        write_whole(self.path, json.dumps(values, indent=2) + "\n")


def run_quickstart(out: Path, *, seed: int = 0, scale: float = 1.0) -> Path:
    """Make a corpus, train all parts on it, speak, and report.

    Args:
        out: folder of everything made. Run again after an interruption, it continues.
        seed: seed of the corpus and of all training.
        scale: fraction of the corpus and of the training steps; the figures of the report are
            promised for 1.

    Returns:
        Path of `report.html`.
    """
    if not 0 < scale <= 1:
        raise ValueError(f"scale must lie in (0, 1], but is {scale}")
    out.mkdir(parents=True, exist_ok=True)
    journal = Journal.open(out, seed, scale)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    corpus, codes = out / "corpus", out / "codes"

    minutes = CORPUS_MINUTES * scale
    journal.run("corpus", lambda: _speak(corpus, seed, minutes))
    journal.run("quantizer", lambda: _train("quantizer", out, seed, scale))
    for part in ("train", "heldout"):
        encode = partial(_encode, corpus / part, out / "quantizer", codes / part, device)
        journal.run(f"codes of {part}", encode)
    journal.run("gpt", lambda: _train("gpt", out, seed, scale))
    journal.run("vits2", lambda: _train("vits2", out, seed, scale))
    bundle = out / "bundle"
    journal.run("bundle", lambda: export_bundle([out / stage for stage in STAGES], bundle))
    configs = {
        stage: load_config(
            CONFIGS / stage / "debug.yaml", stage_overrides(stage, out, seed, scale), SCHEMAS
        )
        for stage in STAGES
    }
    measured: list[ReportData] = []
    journal.run("measure", lambda: measured.append(collect(out, configs, device)))
    steps = [StepTime(name=name, seconds=value) for name, value in journal.seconds.items()]
    total_sec = sum(journal.seconds.values())
    return write_report(replace(measured[0], steps=steps, total_sec=total_sec), out)


def stage_overrides(stage: str, out: Path, seed: int, scale: float) -> Sequence[str]:
    """Return the overrides that point a debug config at `out`."""
    uses_codes = stage != "quantizer"

    def source(part: str) -> str:
        codes = str(out / "codes" / part) if uses_codes else None
        return json.dumps([{"path": str(out / "corpus" / part), "codes": codes}])

    overrides = [
        f"seed={seed}",
        f"run.dir={json.dumps(str(out))}",
        f"run.name={stage}",
        f"data.sources={source('train')}",
        f"data.validation={source('heldout')}",
    ]
    if uses_codes:
        overrides.append(f"model.quantizer={json.dumps(str(out / 'quantizer'))}")
    if scale < 1:
        config = load_config(CONFIGS / stage / "debug.yaml", [], SCHEMAS)
        for key, value in (
            ("trainer.max_steps", config.trainer.max_steps),
            ("checkpoint.every_steps", config.checkpoint.every_steps),
        ):
            overrides.append(f"{key}={max(2, round(value * scale))}")
    return overrides


def _speak(corpus: Path, seed: int, minutes: float) -> None:
    with counting_bar("speaking") as progress:
        make_demo_corpus(corpus, seed=seed, minutes=minutes, progress=progress)


def _encode(corpus: Path, quantizer: Path, out: Path, device: torch.device) -> None:
    with counting_bar("encoding") as progress:
        extract_codes(corpus, quantizer, out, device, progress)


def _train(stage: str, out: Path, seed: int, scale: float) -> None:
    train(CONFIGS / stage / "debug.yaml", stage_overrides(stage, out, seed, scale))
