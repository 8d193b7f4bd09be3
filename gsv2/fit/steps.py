"""Steps of a fit: trainings, codes, alignments, bundle and evaluation, each resumable."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import torch

from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.corpus.manifest import read_manifest
from gsv2.evaluation.bundle_evaluation import keep_evaluation
from gsv2.evaluation.evaluate import evaluate_bundle
from gsv2.evaluation.judges import Judges
from gsv2.fit.budget import TimeBudget
from gsv2.fit.corpus import codes_folder, shifted_folder
from gsv2.fit.journal import Journal
from gsv2.fit.runs import STAGES, FitRuns
from gsv2.fit.sentences import HeldOutSentences
from gsv2.inference.alignment import align_corpus
from gsv2.inference.bundle import export_bundle
from gsv2.inference.clip_batches import SharedWork
from gsv2.inference.extraction import ClipEncoding, extract_codes
from gsv2.inference.sampling import SamplingConfig
from gsv2.train import main as train
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.telemetry.progress import counting_bar
from gsv2.training.threads import computing_threads

logger = logging.getLogger(__name__)

_SENTENCE_SEC = 2.0
"""About what a sentence takes to be spoken and judged at debug size, on two cores."""
_LEAST_SENTENCES, _MOST_SENTENCES = 4, 60
_CORE_TIME_OF_ONE_SET = 0.12
"""Time on a CPU core that a GPT learns from one set of codes, over the length of the corpus."""
_MOST_SHIFTS = 3
"""Most sets of codes beside the first one: frames of 40 ms, moved by 10, 20 and 30 ms."""


class FitSteps:
    """What is done in a fit, by name; `do` takes steps that are not done yet.

    Args:
        runs: settings of the trainings.
        journal: what is done; moved on.
        budget: time of the trainings of this chain.
        judges: makes the judges of the evaluation.
    """

    def __init__(
        self,
        runs: FitRuns,
        journal: Journal,
        budget: TimeBudget,
        judges: Callable[[], Judges] = Judges,
    ) -> None:
        self._runs = runs
        self._journal = journal
        self._budget = budget
        self._judges = judges
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._steps: dict[str, Callable[[], object]] = {
            "codes": self._encode,
            "align": self._align,
            "shifted codes": self._shift,
            "bundle": self._export,
            "evaluation": self._evaluate,
        }

    @property
    def bundle(self) -> Path:
        """Folder of the bundle."""
        return self._runs.out / "bundle"

    @property
    def report(self) -> Path:
        """Page of the evaluation."""
        return self._runs.out / "evaluation" / "index.html"

    def do(self, *names: str) -> None:
        """Take steps one after the other.

        Raises:
            ValueError: what a step raises.
        """
        for name in names:
            if name in STAGES:
                self._journal.run(
                    name, partial(self._train, name), partial(self._runs.used_sec, name)
                )
            else:
                self._journal.run(name, self._steps[name])

    def _train(self, stage: str) -> None:
        seconds = self._budget.allot(stage, self._journal.seconds)
        logger.info("%s has %s", stage, format_time(seconds))
        train(self._runs.config_file(stage), self._runs.stage_overrides(stage, seconds))

    def _encode(self) -> None:
        quantizer = self._runs.folder("quantizer")
        with computing_threads(Distributed()):
            for number, path in enumerate(self._runs.corpora.paths):
                out = codes_folder(self._runs.out, number)
                with counting_bar("encoding") as progress:
                    work = SharedWork(progress=progress)
                    extract_codes(Path(path), quantizer, out, self._device, work)

    def _align(self) -> None:
        """Align all codes once: clips that cannot be are left out of the plan, not quarantined.

        The stream could align them too, but a corpus of many such clips would then end the run
        (`data.max_bad_fraction`).
        """
        for number, path in enumerate(self._runs.corpora.paths):
            codes = codes_folder(self._runs.out, number)
            with counting_bar("aligning") as progress:
                aligner = self._runs.folder("aligner")
                work = SharedWork(progress=progress)
                align_corpus(Path(path), codes, aligner, self._device, work)

    def _shift(self) -> None:
        """Make more codes of the training clips, where the GPT would learn one set by heart."""
        if self._runs.used_sec("gpt"):
            return  # its data is what it was
        path = Path(self._runs.corpora.train.path)
        seconds = self._budget.allot("gpt", self._journal.seconds)
        count = 1 + num_shifts(seconds, read_manifest(path).hours)
        quantizer, aligner = self._runs.folder("quantizer"), self._runs.folder("aligner")
        rate_hz = read_manifest(codes_folder(self._runs.out, 0)).code_rate_hz
        frame = round(SAMPLE_RATE / rate_hz) if rate_hz else 0
        for number in range(1, count):
            out = shifted_folder(self._runs.out, number)
            shift = number * frame // count
            with counting_bar(f"encoding again, {1000 * shift / SAMPLE_RATE:.0f} ms later") as bar:
                work = SharedWork(progress=bar)
                extract_codes(path, quantizer, out, self._device, work, ClipEncoding(shift))
            with counting_bar("aligning") as bar:
                align_corpus(path, out, aligner, self._device, SharedWork(progress=bar))

    def _export(self) -> None:
        export_bundle([self._runs.folder(stage) for stage in STAGES], self.bundle)

    def _evaluate(self) -> None:
        affordable = round(self._budget.kept_sec / _SENTENCE_SEC)
        count = min(max(affordable, _LEAST_SENTENCES), _MOST_SENTENCES)
        sentences = HeldOutSentences(self._runs.corpora.held_out, count)
        sampling = SamplingConfig(seed=self._runs.seed)
        out = self.report.parent
        judges = self._judges()
        report = evaluate_bundle(self.bundle, sentences, out, judges=judges, sampling=sampling)
        keep_evaluation(report, self.bundle)


def num_shifts(gpt_sec: float, corpus_hours: float) -> int:
    """Return how often a corpus is encoded again for the GPT, with other frames.

    Measured on 47 minutes of four voices: with one set of codes a GPT of a CPU core was understood
    better after 7 minutes than after 21; with four sets better after 20 than after 7.
    """
    passes = gpt_sec / 3600 / max(corpus_hours, 1e-9) / _CORE_TIME_OF_ONE_SET
    return min(max(round(passes) - 1, 0), _MOST_SHIFTS)


def format_time(seconds: float) -> str:
    """Return `0:12:34`."""
    return str(timedelta(seconds=round(seconds)))
