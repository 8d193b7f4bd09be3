"""BENCHMARKS row 16: how fast a bundle speaks, when its first sound comes, and what takes the time.

    python -m benchmarks.speaking [--against REV] [--data runs/quickstart] [--bundle BUNDLE]
        [--quick] [--rounds 7] [--out runs/bench]

One sentence of about ten seconds by what `gsv2 quickstart` has left, in the voice of a held-out
clip. Real-time factor and first sound are wall time on two threads; the shares of the parts, and
the comparison with an earlier build in a temporary worktree, CPU time on one. Both builds speak in
processes of their own that take turns, and must draw the same codes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import soundfile
import torch

from benchmarks.harness import Row, ratios
from benchmarks.older_bundle import copy_for_older
from benchmarks.options import option_parser, options_of
from benchmarks.revisions import ROOT, worktree
from benchmarks.workers import Worker, start_worker
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.decode import Clip
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.corpus.index import CorpusIndex
from gsv2.inference.candidates import score_codes
from gsv2.inference.clip_batches import BatchLimit, clip_batches
from gsv2.inference.enrollment import EnrolledReference
from gsv2.inference.generate import generate
from gsv2.inference.references import load_reference
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.sentences import plan_sentences, to_utterances
from gsv2.inference.synthesizer import Synthesizer

BEFORE = "0932afa"
LEAST_RATIO = 2.0
MOST_FIRST = 0.3
TEXT = (
    "The train to Rome leaves at ten on Monday, the train to Cairo leaves at six on Friday, and "
    "the train to Delhi leaves at three on Sunday, if all goes well and nobody is late."
)
_WORKER = Path(__file__).with_name("_speaking_worker.py")
_THREADS = 2
_BEST_OF = SamplingConfig.candidates


def main() -> None:
    """Measure and report."""
    parser = option_parser(__doc__)
    parser.add_argument("--against", default=BEFORE, metavar="REV", help=f"default: {BEFORE}")
    parser.add_argument("--data", type=Path, default=Path("runs/quickstart"), metavar="DIR")
    parser.add_argument("--bundle", type=Path, help="default: DIR/bundle")
    options, given = options_of(parser)
    bundle = (given.bundle or given.data / "bundle").resolve()
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        voice = work / "voice.wav"
        transcript = write_voice(given.data / "corpus" / "heldout", voice)
        other = stack.enter_context(worktree(given.against, work / "other"))
        row = stack.enter_context(Row(16, "speaking", options))
        synthesizer = Synthesizer.from_bundle(bundle, torch.device("cpu"))
        references = synthesizer.enroll([load_reference(voice, transcript)])
        measure_latency(row, synthesizer, references)
        measure_parts(row, synthesizer, references)
        older = copy_for_older(bundle, work / "older")
        for count in (_BEST_OF, 1):
            asked = [str(voice), transcript, TEXT, str(count)]
            builds = [
                stack.enter_context(start_worker(tree, _WORKER, [str(of), *asked]))
                for tree, of in ((ROOT, bundle), (other, older))
            ]
            compare(row, count, given.against, builds)


def write_voice(corpus: Path, file: Path) -> str:
    """Write the first clip of a corpus that is long enough to a file; return its transcript."""
    index = CorpusIndex.open(SourceConfig(path=str(corpus)))
    for batch in clip_batches(index, ("audio",), BatchLimit("num_samples", 60 * SAMPLE_RATE)):
        for clip in batch:
            if (
                isinstance(clip, Clip)
                and clip.wave is not None
                and len(clip.wave) > 2 * SAMPLE_RATE
            ):
                soundfile.write(file, clip.wave, SAMPLE_RATE)
                return clip.text
    raise ValueError(f"{corpus} has no clip of two seconds")


def measure_latency(
    row: Row, synthesizer: Synthesizer, references: Sequence[EnrolledReference]
) -> None:
    """Report real-time factors and the first sound, by wall time on two threads."""

    def speak(count: int) -> Callable[[], object]:
        sampling = SamplingConfig(candidates=count)
        return lambda: synthesizer.synthesize(TEXT, references, sampling=sampling)

    def begin() -> None:
        next(synthesizer.stream(TEXT, references, sampling=SamplingConfig(candidates=1)))

    whole = synthesizer.synthesize(TEXT, references, sampling=SamplingConfig(candidates=1))
    seconds = len(whole.wave) / whole.sample_rate
    torch.set_num_threads(_THREADS)
    contenders = {"one": speak(1), "best": speak(_BEST_OF), "first": begin}
    times = row.alternate(contenders, clock=time.perf_counter)
    torch.set_num_threads(1)
    row.note(f"A sentence of {seconds:.1f} s; wall time on {_THREADS} threads.")
    for name, title in (("one", "one candidate"), ("best", f"best of {_BEST_OF}")):
        row.figure(f"real-time factor, {title}", [t / seconds for t in times[name]])
    row.figure("first sound", [1000 * t for t in times["first"]], "ms")
    share = ratios(times["first"], times["one"])
    row.target("first sound / the whole, one candidate", share, at_most=MOST_FIRST)


def measure_parts(
    row: Row, synthesizer: Synthesizer, references: Sequence[EnrolledReference]
) -> None:
    """Report the share of each part in speaking the best of several, by CPU time."""
    sampling = SamplingConfig()
    utterances = to_utterances(plan_sentences(TEXT).sentences, references, "auto")
    rows = [utterance for utterance in utterances for _ in range(_BEST_OF)]
    made = generate(synthesizer.gpt, rows, sampling)
    texts, voice = [row.text for row in rows], synthesizer.voice(references)
    best, aligner = made.rows(torch.tensor([0])), synthesizer.aligner
    parts: dict[str, Callable[[], object]] = {
        "GPT": lambda: generate(synthesizer.gpt, rows, sampling),
        "waveform": lambda: list(synthesizer.decoder.speak(best, texts[:1], voice, 0)),
        "whole": lambda: synthesizer.synthesize(TEXT, references, sampling=sampling),
    }
    if aligner is not None:
        parts["choice by the aligner"] = lambda: score_codes(aligner, made, texts)
    times = row.alternate(parts)
    for name in parts:
        if name != "whole":
            row.figure(f"share of {name}", ratios(times[name], times["whole"]))


def compare(row: Row, count: int, revision: str, builds: Sequence[Worker]) -> None:
    """Let two builds take turns, after a first one that is not counted but must agree."""
    title = f"{count} candidates" if count > 1 else "one candidate"
    rates: list[list[float]] = [[], []]
    first = [build.ask("go on") for build in builds]
    if first[0]["codes"] != first[1]["codes"]:
        raise ValueError(f"this build and {revision} draw different codes, {title}")
    for turn in range(row.options.rounds):
        for place in (0, 1) if turn % 2 else (1, 0):
            took = builds[place].ask("go on")
            rates[place].append(took["audio_sec"] / took["cpu_sec"])
        here, there = rates[0][-1], rates[1][-1]
        print(f"{title}, turn {turn + 1}: {here:.2f} here, {there:.2f} before", file=sys.stderr)
    row.figure(f"{title}: this build", rates[0], "audio s / CPU s")
    row.figure(f"{title}: {revision}", rates[1], "audio s / CPU s")
    row.target(f"{title}: this build / {revision}", ratios(*rates), at_least=LEAST_RATIO)


if __name__ == "__main__":
    main()
