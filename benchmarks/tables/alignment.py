"""Table of alignments: how far the aligner's words begin from where espeak-ng says that they do.

    python benchmarks/tables/alignment.py --quantizer RUN --aligner RUN

Speaks the held-out clips of the demo corpus (voices and sentences that never train) together with
espeak-ng's word events, encodes and aligns them, and prints a line for each language: words, median
of the absolute error, median of the error (negative = too early), and share of words within 50 ms.
A code frame of 25 Hz lasts 40 ms, so a perfect aligner would be 10 ms off in the median.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from gsv2.audio.level import apply_level, measure_level
from gsv2.audio.speech_encoders.make import make_speech_encoder
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.inference.alignment import load_aligner
from gsv2.inference.spoken_times import time_text
from gsv2.models.aligner.align import align_texts
from gsv2.models.aligner.model import Aligner
from gsv2.models.aligner.viterbi import AlignmentError
from gsv2.models.component import load_component
from gsv2.models.quantizer.model import Quantizer
from gsv2.quickstart.demo_audio import render_words
from gsv2.quickstart.demo_plan import DemoClip, plan_demo
from gsv2.quickstart.espeak import EspeakSpeech
from gsv2.text.normalize import normalize_text
from gsv2.training.checkpoints.checkpoint import find_component

_NEAR_SEC = 0.05


def main() -> None:
    """Speak, align, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quantizer", type=Path, required=True)
    parser.add_argument("--aligner", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=45.0, help="of the demo corpus")
    parser.add_argument("--seed", type=int, default=0, help="of the demo corpus")
    parser.add_argument("--clips", type=int, default=0, help="most clips of a language; 0 = all")
    options = parser.parse_args()
    torch.set_num_threads(1)
    component = load_component(find_component(options.quantizer, "quantizer"), "quantizer")
    measurement = Measurement(
        Quantizer.from_component(component), load_aligner(options.aligner, torch.device("cpu"))
    )
    errors: dict[str, list[float]] = defaultdict(list)
    done: dict[str, int] = defaultdict(int)
    for clip in plan_demo(options.seed, options.minutes).heldout:
        language = clip.grammar.language
        if options.clips and done[language] >= options.clips:
            continue
        done[language] += 1
        errors[language] += measurement.errors_sec(clip, render_words(clip, options.seed))
    every = [error for of_language in errors.values() for error in of_language]
    print("language  words  median ms  bias ms  within 50 ms  clips")
    for language, found in [*sorted(errors.items()), ("all", every)]:
        print(format_row(language, np.array(found), done.get(language, sum(done.values()))))


class Measurement:
    """Compares the words of clips with their alignment."""

    def __init__(self, quantizer: Quantizer, aligner: Aligner) -> None:
        self._quantizer = quantizer
        self._speech_encoder = make_speech_encoder(quantizer.config.speech_encoder)
        self._aligner = aligner

    @torch.inference_mode()
    def errors_sec(self, clip: DemoClip, speech: EspeakSpeech) -> list[float]:
        """Return for each word how much later the aligner has it begin, in seconds."""
        wave = apply_level(speech.wave, measure_level(speech.wave, SAMPLE_RATE))
        samples, lengths = torch.from_numpy(wave)[None, None], torch.tensor([len(wave)])
        codes = self._quantizer.encode(*self._speech_encoder(samples, lengths))
        text = normalize_text(clip.text)
        (found,) = align_texts(self._aligner, codes, torch.tensor([codes.shape[2]]), [text])
        if isinstance(found, AlignmentError):
            raise SystemExit(f"clip {clip.key} cannot be aligned: {found}")
        times = time_text(text, found.characters, self._quantizer.config.codes.rate_hz)
        return list(compare(clip.text, text, speech, [c.start_sec for c in times.characters]))


def compare(
    spoken_text: str, text: str, speech: EspeakSpeech, starts_sec: list[float]
) -> Iterator[float]:
    """Yield errors of the words of a text, once each; of texts that are normalised to another.

    Raises:
        ValueError: the normalised text has other characters, so that places differ.
    """
    if len(spoken_text) != len(text):
        raise ValueError(f"{spoken_text!r} is not in the normalised form {text!r}")
    seen = set()
    for word in speech.words:
        if word.place not in seen:
            seen.add(word.place)
            yield starts_sec[word.place] - word.start_sec


def format_row(language: str, errors: np.ndarray, num_clips: int) -> str:
    """Return a line of the table for [N] errors in seconds."""
    median_ms, bias_ms = 1000 * np.median(np.abs(errors)), 1000 * np.median(errors)
    near = float((np.abs(errors) <= _NEAR_SEC).mean())
    return (
        f"{language:8}  {len(errors):5d}  {median_ms:9.0f}  {bias_ms:7.0f}  {near:12.2f}"
        f"  {num_clips:5d}"
    )


if __name__ == "__main__":
    main()
