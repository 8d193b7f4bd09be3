"""Table of codebook patterns, numbers of prompts and text encoders after equal CPU seconds.

    python -m benchmarks.tables.patterns RUNS [--cpu-seconds 300] [--only depth,nar] [--out DIR]

RUNS is what the quickstart leaves: corpus, aligned codes, quantizer and aligner. Trains the GPT of
configs/gpt/attention_debug.yaml on one thread once for each row: the five patterns, `depth` that
learns an eighth of the frames, `depth` with a pointer, and `depth` that reads vectors of a random
network by the path of bge-m3 (which shows that it runs, not that it reads). Then, on the same
held-out clips: nats a frame after 0, 1 and 3 clips of the voice, character errors of what is spoken
after as many, by the aligner, and CPU milliseconds a decoded frame. Prints a table in markdown and
writes a line of JSON for each row into OUT/patterns.jsonl.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from benchmarks.tables.random_text_encoder import write_texts
from benchmarks.tables.reading import held_out, judge, make_stage, train, validate
from gsv2.data.corpus.decode import Clip
from gsv2.inference.alignment import load_aligner
from gsv2.inference.generate import Prompt, Utterance, generate
from gsv2.inference.sampling import SamplingConfig
from gsv2.losses.code_figures import clip_nats
from gsv2.models.gpt.model import GPTInputs
from gsv2.nn.codes import NO_CODE
from gsv2.stages.gpt import GPTStage
from gsv2.text.encoders.make import attach_text_encoder
from gsv2.text.normalize import normalize_text

PROMPTS = (0, 1, 3)
ROWS: dict[str, tuple[str, ...]] = {
    "depth": (),
    "depth, an eighth of the frames": ("model.gpt.depth_frames=0.125",),
    "delay": ("model.gpt.pattern=delay",),
    "parallel": ("model.gpt.pattern=parallel",),
    "flatten": ("model.gpt.pattern=flatten", "data.steps_per_frame=2"),
    "nar": ("model.gpt.pattern=nar",),
    "depth, pointer": (),
    "depth, random bge-m3": ("model.gpt.text_encoder=bge-m3",),
}
"""Row -> what it changes of the config."""
_CONFIG = Path(__file__).parents[2] / "configs" / "gpt" / "attention_debug.yaml"


def main() -> None:
    """Train and measure row after row, then print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--cpu-seconds", type=float, default=300.0, help="of each training")
    parser.add_argument("--only", default="", help="rows, separated by semicolons; default: all")
    parser.add_argument("--clips", type=int, default=60, help="most held-out clips")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("overrides", nargs="*", help="section.key=value, for all rows")
    options = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    chosen = [name.strip() for name in options.only.split(";")] if options.only else [*ROWS]
    if unknown := set(chosen) - ROWS.keys():
        parser.error(f"--only must name rows out of {'; '.join(ROWS)}, but names {unknown}")
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen:
            rows.append(measure(name, options, Path(folder)))
            with (options.out / "patterns.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(rows[-1], ensure_ascii=False) + "\n")
            print(make_table(rows), flush=True)


def measure(name: str, options: Namespace, work: Path) -> dict[str, Any]:
    """Train the GPT of a row; return its figures."""
    overrides = [*ROWS[name], *options.overrides]
    if "bge-m3" in name:
        overrides += write_texts(options.runs, work)
    reading = "pointer" if "pointer" in name else "attention"
    asked = Namespace(
        runs=options.runs, reading=reading, seed=options.seed, overrides=overrides, config=_CONFIG
    )
    stage, config = make_stage(asked)
    if "bge-m3" in name:
        vectors, tokenizer = stage.model.config.text_vectors, stage.model.config.tokenizer
        attach_text_encoder(stage.model.text_encoder, vectors, tokenizer, None, torch.device("cpu"))
    row: dict[str, Any] = {"row": name, "cpu_seconds": options.cpu_seconds}
    row |= train(stage, config, options.cpu_seconds)
    row["validation"] = validate(stage, config)
    aligner = load_aligner(options.runs / "aligner", torch.device("cpu"))
    groups = list(_with_prompts(held_out(config.data.validation), max(PROMPTS)))[: options.clips]
    if not groups:
        raise SystemExit(f"no held-out speaker in {options.runs} has {max(PROMPTS) + 1} clips")
    clips = [group[-1] for group in groups]
    row["clips"] = len(clips)
    for count in PROMPTS:
        sequences = [group[len(group) - 1 - count :] for group in groups]
        row[f"nats_{count}"] = round(prompted_nats(stage, sequences), 3)
        utterances = [_utterance(sequence) for sequence in sequences]
        start = time.process_time()
        made = generate(stage.model, utterances, SamplingConfig(seed=options.seed))
        spent = time.process_time() - start
        codes = [c[:, :n] for c, n in zip(made.codes, made.lengths.tolist(), strict=True)]
        row[f"errors_{count}"] = judge(aligner, clips, codes)["char_errors"]
        row[f"frame_ms_{count}"] = round(1e3 * spent / max(1, int(made.lengths.sum())), 3)
    return row


@torch.no_grad()
def prompted_nats(stage: GPTStage, sequences: Sequence[Sequence[Clip]]) -> float:
    """Return the nats a frame of the last clip of each sequence, after all others as prompts."""
    nats, frames = 0.0, 0
    for sequence in sequences:
        inputs = _inputs(stage, sequence)
        is_target = torch.arange(len(sequence)) == len(sequence) - 1
        output = stage.model(inputs, None, is_target)
        lengths = inputs.code_lengths[is_target]
        nats += float(clip_nats(output.logits, output.targets, lengths).sum())
        frames += int(lengths.sum())
    return nats / frames


def make_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as markdown."""
    head = ["", "steps", *(f"nats, {n} prompts" for n in PROMPTS)]
    head += [*(f"character errors, {n}" for n in PROMPTS), "text gain", "ms a frame"]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for row in rows:
        cells = [row["row"], row["steps"], *(row[f"nats_{n}"] for n in PROMPTS)]
        cells += [row[f"errors_{n}"] for n in PROMPTS]
        cells += [row["validation"].get("gpt/text_gain", ""), row[f"frame_ms_{PROMPTS[0]}"]]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _with_prompts(clips: Sequence[Clip], count: int) -> Iterator[list[Clip]]:
    """Yield each clip of a speaker with enough others, after as many of them."""
    by_speaker: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_speaker[clip.speaker].append(clip)
    for group in by_speaker.values():
        if len(group) > count:
            for place in range(len(group)):
                yield [group[(place + 1 + step) % len(group)] for step in range(-count - 1, 0)]


def _inputs(stage: GPTStage, sequence: Sequence[Clip]) -> GPTInputs:
    tokens = stage.model.text_encoder.tokenize([normalize_text(clip.text) for clip in sequence])
    codes = [_tensor(clip.codes).T for clip in sequence]
    places = [_tensor(clip.alignment) for clip in sequence]
    return GPTInputs(
        tokens.ids,
        tokens.lengths,
        pad_sequence(codes, batch_first=True, padding_value=NO_CODE).transpose(1, 2),
        torch.tensor([len(of_clip) for of_clip in codes]),
        torch.zeros(len(codes), dtype=torch.int64),
        pad_sequence(places, batch_first=True) if stage.model.has_pointer else None,
    )


def _utterance(sequence: Sequence[Clip]) -> Utterance:
    prompts = tuple(
        Prompt(clip.text, _tensor(clip.codes), _tensor(clip.alignment)) for clip in sequence[:-1]
    )
    return Utterance(text=sequence[-1].text, prompts=prompts)


def _tensor(values: Any) -> torch.Tensor:
    return torch.from_numpy(values.astype("int64"))


if __name__ == "__main__":
    main()
