"""Table of readings: what the aligner hears of held-out sentences after equal CPU seconds.

    python benchmarks/tables/reading.py RUNS --reading pointer --cpu-seconds 150

RUNS is what the quickstart leaves: corpus, aligned codes, quantizer and aligner. Trains the debug
GPT on one thread in a plain loop until the seconds of this process are spent, the schedule
following them; then speaks all held-out sentences, with a clip of the speaker as prompt and
without, and prints one line of JSON. Character errors are those of the aligner on the generated
codes; the recordings' codes stand beside them.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gsv2.config import load_config
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.decode import Clip
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import Plan, validation_plan
from gsv2.data.stream.loader import make_loader, make_validation_loader
from gsv2.data.stream.reader import read_clips
from gsv2.inference.alignment import load_aligner
from gsv2.inference.generate import Prompt, Utterance, generate
from gsv2.inference.sampling import SamplingConfig
from gsv2.models.aligner.model import Aligner
from gsv2.models.aligner.reading_errors import count_errors
from gsv2.stages import SCHEMAS
from gsv2.stages.gpt import GPTStage
from gsv2.training.stage import Figure

_WARMUP_STEPS = 20
_FINAL_SHARE = 0.05
_DEBUG = Path(__file__).parents[2] / "configs" / "gpt" / "debug.yaml"


def main() -> None:
    """Train, speak, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--reading", choices=("attention", "pointer", "both"), required=True)
    parser.add_argument("--cpu-seconds", type=float, default=150.0)
    parser.add_argument("--config", type=Path, default=_DEBUG)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="file for the weights")
    parser.add_argument("--load", type=Path, help="file of weights, in place of training")
    parser.add_argument("overrides", nargs="*", help="section.key=value")
    options = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    stage, config = make_stage(options)
    row: dict[str, Any] = {"reading": options.reading, "cpu_seconds": options.cpu_seconds}
    if options.load:
        stage.model.load_state_dict(torch.load(options.load))
        stage.model.eval()
    else:
        row |= train(stage, config, options.cpu_seconds)
    if options.save:
        torch.save(stage.model.state_dict(), options.save)
    row["validation"] = validate(stage, config)
    aligner = load_aligner(options.runs / "aligner", torch.device("cpu"))
    clips = held_out(config.data.validation)
    recorded = [torch.from_numpy(clip.codes.astype("int64")) for clip in clips]
    row["recordings"] = judge(aligner, clips, recorded)
    for name, utterances in (("prompted", prompted(clips)), ("alone", alone(clips))):
        made = generate(stage.model, utterances, SamplingConfig(seed=options.seed))
        codes = [c[:, :n] for c, n in zip(made.codes, made.lengths.tolist(), strict=True)]
        row[name] = judge(aligner, clips, codes)
        row[name]["ended"] = float(made.ended.float().mean())
        recorded_frames = sum(c.shape[1] for c in recorded)
        row[name]["length"] = round(sum(c.shape[1] for c in codes) / recorded_frames, 3)
    print(json.dumps(row, ensure_ascii=False))


def make_stage(options: argparse.Namespace) -> tuple[GPTStage, Any]:
    """Return the stage of a config, on the sources in RUNS."""
    runs = options.runs
    parts = {
        part: [{"path": str(runs / "corpus" / part), "codes": str(runs / "codes" / part)}]
        for part in ("train", "heldout")
    }
    overrides = [
        f"data.sources={json.dumps(parts['train'])}",
        f"data.validation={json.dumps(parts['heldout'])}",
        f"model.quantizer={runs / 'quantizer'}",
        f"model.aligner={runs / 'aligner'}",
        f"model.gpt.reading={options.reading}",
        f"data.tokens_per_text_byte={int(options.reading != 'pointer')}",
        f"seed={options.seed}",
    ]
    config = load_config(options.config, [*overrides, *options.overrides], SCHEMAS)
    torch.manual_seed(options.seed)
    return GPTStage(config, torch.device("cpu")), config


def train(stage: GPTStage, config: Any, cpu_seconds: float) -> dict[str, Any]:
    """Train until the seconds are spent; return steps and frames seen."""
    index = CorpusIndex.open(*config.data.sources)
    batches = iter(make_loader(Plan(index, config.data, config.seed, stage.members)))
    (trainable,) = stage.trainables.values()
    optimizer, parameters = trainable.optimizer, list(stage.model.parameters())
    peak = config.optim["gpt"].lr
    stage.model.train()
    start, steps, frames = time.process_time(), 0, 0
    while (spent := time.process_time() - start) < cpu_seconds:
        done = spent / cpu_seconds
        decay = _FINAL_SHARE + (1 - _FINAL_SHARE) * (1 + math.cos(math.pi * done)) / 2
        for group in optimizer.param_groups:
            group["lr"] = peak * decay * min(1.0, (steps + 1) / _WARMUP_STEPS)
        micro = [next(batches) for _ in range(config.data.micro_batches_per_step)]
        total = sum(stage.num_targets(batch)["gpt"] for batch in micro)
        for batch in micro:
            share = stage.num_targets(batch)["gpt"] / max(1, total)
            for update in stage.updates(batch, steps):
                (update.loss * share).backward()
        torch.nn.utils.clip_grad_norm_(parameters, trainable.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        steps, frames = steps + 1, frames + total
    stage.model.eval()
    return {"steps": steps, "frames": frames}


def validate(stage: GPTStage, config: Any) -> dict[str, float]:
    """Return the held-out metrics, means over frames; `text_gain` is that of the right text."""
    index = CorpusIndex.open(*config.data.validation)
    plan = validation_plan(index, config.data, config.seed, stage.members)
    sums: dict[str, float] = defaultdict(float)
    counts: dict[str, float] = defaultdict(float)
    for batch in make_validation_loader(plan):
        frames = stage.num_targets(batch)["gpt"]
        for name, value in stage.validate(batch).items():
            figure = value if isinstance(value, Figure) else Figure(value, frames)
            sums[name] += float(figure.value) * figure.weight
            counts[name] += figure.weight
    chosen = ("gpt/nats_per_frame", "gpt/top1_0", "gpt/loss_advance", "gpt/text_gain")
    return {name: round(sums[name] / counts[name], 4) for name in chosen if counts[name]}


def held_out(sources: Sequence[SourceConfig]) -> list[Clip]:
    """Return all held-out clips, with alignments where there are any."""
    index = CorpusIndex.open(*sources)
    return [clip for clip in read_clips(index, ("codes", "align")) if isinstance(clip, Clip)]


def prompted(clips: Sequence[Clip]) -> list[Utterance]:
    """Let each sentence be spoken after another clip of its speaker."""
    by_speaker: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_speaker[clip.speaker].append(clip)
    before = {
        clip.key: other
        for group in by_speaker.values()
        for other, clip in pairwise([group[-1], *group])
    }
    return [
        Utterance(text=clip.text, prompts=tuple(_prompts(clip, before[clip.key]))) for clip in clips
    ]


def _prompts(clip: Clip, other: Clip) -> Iterator[Prompt]:
    if other.key != clip.key and other.codes is not None and other.alignment is not None:
        codes, places = (
            torch.from_numpy(a.astype("int64")) for a in (other.codes, other.alignment)
        )
        yield Prompt(other.text, codes, places)


def alone(clips: Sequence[Clip]) -> list[Utterance]:
    """Let each sentence be spoken in any voice."""
    return [replace(utterance, prompts=()) for utterance in prompted(clips)]


def judge(aligner: Aligner, clips: Sequence[Clip], codes: Sequence[Tensor]) -> dict[str, Any]:
    """Return character errors over all clips, and by language."""
    errors: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for clip, of_clip in zip(clips, codes, strict=True):
        length = of_clip.shape[1]
        read = aligner.read(of_clip[None], torch.tensor([length])) if length else [""]
        errors[clip.language][0] += count_errors([clip.text], read)
        errors[clip.language][1] += len(clip.text)
    totals = [sum(column) for column in zip(*errors.values(), strict=True)]
    by_language = {name: round(wrong / of, 3) for name, (wrong, of) in sorted(errors.items())}
    return {"char_errors": round(totals[0] / totals[1], 3), "by_language": by_language}


if __name__ == "__main__":
    main()
