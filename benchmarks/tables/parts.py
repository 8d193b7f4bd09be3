"""Tables of parts: what is heard of held-out sentences when one part of a fit is another.

    python -m benchmarks.tables.parts FIT OUT --table waveform --cpu-minutes 5 \
        --recognizer whisper:FOLDER

FIT is the folder that `gsv2 fit` leaves. Each row trains its parts anew, alone on one thread, until
the minutes of its process are spent (their schedules follow), takes the others from FIT, and has
held-out sentences of FIT spoken after one prompt and judged. Prints a line of JSON a row, with the
validation metrics of the run at the end and on the way. OUT keeps runs and sounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from gsv2.data.config import SourceConfig
from gsv2.evaluation.evaluate import evaluate_bundle
from gsv2.evaluation.judge_names import load_judges
from gsv2.fit.sentences import HeldOutSentences
from gsv2.inference.alignment import align_corpus
from gsv2.inference.bundle import export_bundle
from gsv2.inference.extraction import extract_codes

_CONFIGS = Path(__file__).parents[2] / "configs"
_MEL_FIRST = (
    "model.loss_weights.mel=450",
    "model.loss_weights.stft=45",
    "model.loss_weights.kl=0.1",
)
_ISTFT = "model.generator.generator.istft"
_LATER = "model.discriminator.start_step=1000000"
_AT_ONCE = (
    "model.discriminator.start_step=0",
    "model.loss_weights.mel=45",
    "model.loss_weights.stft=10",
    "model.loss_weights.kl=1",
)
_AT_LAST = (
    "model.discriminator.start_step=0",
    "model.discriminator.start_fraction=0.75",
    "model.discriminator.every_n_steps=2",
    "model.loss_weights.adversarial=10",
    "model.loss_weights.feature_matching=20",
)
_IN_PROCESS_TIME = (
    "import sys, time, types; import gsv2.training.telemetry.metrics as metrics; "
    "metrics.time = types.SimpleNamespace(perf_counter=time.process_time); "
    "from gsv2.train import main; main(sys.argv[1], sys.argv[2:])"
)
"""A training whose minutes are those of its processor: other programs may run beside it."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training of a row."""

    stage: str
    share: float = 1.0
    """Share of the minutes of the row."""
    config: Path | None = None
    """None = that of FIT."""
    overrides: Sequence[str] = ()


def _whole(of_quantizer: str) -> list[Training]:
    """Return the trainings of all parts, with one setting of the quantizer."""
    return [
        Training(stage="quantizer", share=0.12, overrides=[of_quantizer]),
        Training(stage="aligner", share=0.13),
        Training(stage="gpt", share=0.30),
        Training(stage="vits2", share=0.45),
    ]


TABLES: Mapping[str, Mapping[str, Sequence[Training]]] = {
    "prompts": {
        f"{clips - 1} prompts": [Training(stage="gpt", overrides=[f"data.max_clips={clips}"])]
        for clips in (1, 2, 4)
    },
    "waveform": {
        "iSTFT, harmonic source, spectra alone": [Training(stage="vits2")],
        "iSTFT, spectra alone": [Training(stage="vits2", overrides=[f"{_ISTFT}.source=none"])],
        "iSTFT, harmonic source, 4 spectra a frame": [
            Training(
                stage="vits2",
                overrides=[f"{_ISTFT}.n_fft=512", f"{_ISTFT}.spectra_per_frame=4"],
            )
        ],
        "iSTFT, harmonic source, GAN at once": [Training(stage="vits2", overrides=_AT_ONCE)],
        "iSTFT, harmonic source, GAN for the last quarter": [
            Training(stage="vits2", overrides=_AT_LAST)
        ],
        "HiFi-GAN, spectra alone": [
            Training(
                stage="vits2",
                config=_CONFIGS / "vits2" / "hifigan_debug.yaml",
                overrides=["model.segment_frames=64", *_MEL_FIRST, _LATER],
            )
        ],
        "HiFi-GAN, GAN at once": [
            Training(stage="vits2", config=_CONFIGS / "vits2" / "hifigan_debug.yaml")
        ],
    },
    "entries": {
        f"{entries} entries": _whole(f"model.codes.codebook_size={entries}")
        for entries in (256, 512, 1024)
    },
    "levels": {f"{levels} levels": _whole(f"model.codes.levels={levels}") for levels in (2, 3, 4)},
}


def main() -> None:
    """Train, speak and judge each row of a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("fit", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--table", choices=TABLES, required=True)
    parser.add_argument("--cpu-minutes", type=float, default=5.0)
    parser.add_argument("--rows", nargs="*", help="of the table [default: all]")
    parser.add_argument("--sentences", type=int, default=40)
    parser.add_argument("--recognizer", action="append", default=[])
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name, trainings in TABLES[options.table].items():
        if options.rows and name not in options.rows:
            continue
        row = Row(options.fit, options.out / options.table / name.replace(" ", "_"))
        steps = [row.train(training, options.cpu_minutes) for training in trainings]
        figures = row.judge(options.sentences, options.recognizer)
        print(json.dumps({"row": name, "trainings": steps, **figures}), flush=True)


class Row:
    """One row: parts of its own in OUT, and the others of FIT."""

    def __init__(self, fit: Path, out: Path) -> None:
        self._fit, self._out = fit, out
        self._data = OmegaConf.load(fit / "gpt" / "config.yaml").data

    def train(self, training: Training, cpu_minutes: float) -> dict[str, Any]:
        """Train a part, and make what follows from it; return steps and validation metrics."""
        stage, minutes = training.stage, cpu_minutes * training.share
        config = training.config or self._fit / stage / "config.yaml"
        overrides = [
            f"run.dir={self._out}",
            f"run.name={stage}",
            "trainer.max_steps=0",
            f"trainer.max_minutes={minutes}",
            "trainer.validate_every_steps=250",
            *self._inputs(stage),
            *training.overrides,
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", _IN_PROCESS_TIME, str(config), *overrides]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        if stage == "quantizer":
            for part, source in self._sources().items():
                extract_codes(Path(source["path"]), self._out / stage, self._codes(part), _CPU)
        if stage == "aligner":
            for part, source in self._sources().items():
                align_corpus(Path(source["path"]), self._codes(part), self._out / stage, _CPU)
        return {"stage": stage, "validation": _validations(self._out / stage)}

    def judge(self, count: int, recognizers: Sequence[str]) -> dict[str, Any]:
        """Speak held-out sentences; return source -> figure -> value."""
        bundle = self._out / "bundle"
        export_bundle([self._part(s) for s in ("quantizer", "aligner", "gpt", "vits2")], bundle)
        report = evaluate_bundle(
            bundle,
            HeldOutSentences(SourceConfig(path=self._sources()["heldout"]["path"]), count),
            self._out / "evaluation",
            judges=load_judges(recognizers, device=_CPU),
        )
        return {
            name: {source: round(estimate.value, 3) for source, estimate in by_source.items()}
            for name, by_source in report.figures["all"].items()
        }

    def _inputs(self, stage: str) -> list[str]:
        sources = self._sources()
        if stage == "quantizer":
            sources = {part: {"path": source["path"]} for part, source in sources.items()}
        made = [
            f"data.sources={json.dumps([sources['train']])}",
            f"data.validation={json.dumps([sources['heldout']])}",
        ]
        if stage != "quantizer":
            made.append(f"model.quantizer={self._part('quantizer')}")
        if stage == "gpt":
            made.append(f"model.aligner={self._part('aligner')}")
        return made

    def _sources(self) -> dict[str, dict[str, str]]:
        parts = {"train": self._data["sources"][0], "heldout": self._data["validation"][0]}
        return {
            part: {"path": str(source["path"]), "codes": str(self._codes(part))}
            for part, source in parts.items()
        }

    def _codes(self, part: str) -> Path:
        own = self._out / "quantizer"
        return (self._out if own.exists() else self._fit) / "codes" / part

    def _part(self, stage: str) -> Path:
        own = self._out / stage
        return own if own.exists() else self._fit / stage


_CPU = torch.device("cpu")


def _validations(run: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        {
            name.removeprefix("validation/"): round(value, 3)
            for name, value in row.items()
            if name == "step" or name.startswith("validation/")
        }
        for row in rows
        if any(name.startswith("validation/") for name in row)
    ]


if __name__ == "__main__":
    main()
