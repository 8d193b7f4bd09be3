"""Pipeline of the quickstart: a demo corpus, `gsv2 fit` on it, and a report."""

from __future__ import annotations

import time
from pathlib import Path

from gsv2.evaluation.grammar import template_grammar
from gsv2.evaluation.judges import JudgeMissingError, Judges
from gsv2.evaluation.pocketsphinx_recognizer import PocketSphinx
from gsv2.evaluation.voice_encoder import VoiceEncoder
from gsv2.fit.pipeline import FitSettings, open_journal, run_fit
from gsv2.quickstart.demo_corpus import make_demo_corpus
from gsv2.quickstart.grammars import ENGLISH
from gsv2.quickstart.report import write_report
from gsv2.quickstart.report_data import StepTime
from gsv2.quickstart.speaking import Serve, measure_speaking
from gsv2.quickstart.summary import collect
from gsv2.training.telemetry.progress import counting_bar

CORPUS_MINUTES = 60.0
"""Speech to train on."""
FIT_MINUTES = 7.0
"""Wall time of all training and of the evaluation: with corpus and installation ten minutes."""
_SPECTRA = "vits2.model.generator.generator.istft"
OVERRIDES = (
    "quantizer.model.codes.codebook_size=512",
    f"{_SPECTRA}.n_fft=2048",
    f"{_SPECTRA}.spectra_per_frame=1",
)
"""1024 entries take half of the quantizer's time to start from. The formants of espeak-ng's voices
are narrow, and tell its variants apart: after equal steps .74 similar to the recordings with four
spectra a frame, .78 with one (voices of people: .88 and .88)."""


def run_quickstart(
    out: Path, *, seed: int = 0, scale: float = 1.0, serve: Serve | None = None
) -> Path:
    """Make a corpus, fit all parts to it, speak, and report.

    Args:
        out: folder of everything made. Run again after an interruption, it continues.
        seed: seed of the corpus and of all training.
        scale: fraction of the corpus and of the time; the figures of the report are promised
            for 1.
        serve: serves a voice of the bundle for the report; None = the server is not measured.

    Returns:
        Path of `report.html`.

    Raises:
        ValueError: a scale outside (0, 1], or `out` is of other arguments.
    """
    if not 0 < scale <= 1:
        raise ValueError(f"scale must lie in (0, 1], but is {scale}")
    start = time.monotonic()
    corpus = out / "corpus"
    settings = FitSettings(
        corpus=corpus / "train",
        held_out=corpus / "heldout",
        out=out,
        minutes=FIT_MINUTES * scale,
        seed=seed,
        size="debug",  # the machines that it is for have no GPU, and figures are compared
        overrides=OVERRIDES,
        judges=demo_judges,
    )
    open_journal(settings)  # before a corpus of other arguments is replaced
    with counting_bar("speaking") as progress:
        make_demo_corpus(corpus, seed=seed, minutes=CORPUS_MINUTES * scale, progress=progress)
    spoken_sec = time.monotonic() - start
    result = run_fit(settings)
    steps = [StepTime(name="demo corpus", seconds=spoken_sec)]
    steps += [StepTime(name=name, seconds=value) for name, value in result.seconds.items()]
    start = time.monotonic()
    speaking = measure_speaking(out / "bundle", corpus / "heldout", seed, serve)
    steps.append(StepTime(name="fusion, stream and server", seconds=time.monotonic() - start))
    return write_report(collect(out, steps, speaking), out)


def demo_judges() -> Judges:
    """Return a recogniser that knows the English sentences' grammar, and a voice encoder."""
    grammar = template_grammar(ENGLISH.templates, ENGLISH.slots)
    try:
        heard, notes = [PocketSphinx(grammar)], []
    except JudgeMissingError as error:
        heard, notes = [], [str(error)]
    return Judges(recognizers=heard, encoders=[VoiceEncoder()], notes=notes)
