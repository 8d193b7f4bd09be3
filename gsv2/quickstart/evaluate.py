"""Measurements of the quickstart on held-out voices and sentences."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.decode import Clip
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import validation_plan
from gsv2.data.stream.loader import make_validation_loader
from gsv2.data.stream.reader import MappedReader, read_clip
from gsv2.inference.references import Reference
from gsv2.inference.synthesizer import Synthesizer
from gsv2.losses.codebook import CodeReport, evaluate_codes, unexplained_variance
from gsv2.models.component import load_component
from gsv2.quickstart.report_data import Reconstruction, SpokenSentence
from gsv2.seeds import seed_torch
from gsv2.stages import STAGES
from gsv2.training.checkpoints.checkpoint import find_component
from gsv2.training.config import RunConfig
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.stage import Stage
from gsv2.training.validation import validate

MEMBERS = ("audio", "codes")


class HeldOut:
    """The held-out clips with their codes, by row."""

    def __init__(self, source: SourceConfig) -> None:
        self.index = CorpusIndex.open(source)
        self._reader = MappedReader(self.index, MEMBERS)

    def clip(self, row: int) -> Clip:
        """Return one clip with wave and codes."""
        clip = read_clip(self._reader, row)
        if not isinstance(clip, Clip):
            raise ValueError(f"held-out clip {clip.key} in {clip.shard}: {clip.reason}")
        return clip

    def pairs(self, count: int) -> list[tuple[Clip, Clip]]:
        """Return (clip to speak, another clip of its voice), taking voices in turn.

        The first pair of every voice comes before the second of any.
        """
        speakers = np.array(self.index.strings("speaker").to_pylist())
        rows = {name: np.flatnonzero(speakers == name) for name in sorted(set(speakers))}
        most = max(map(len, rows.values()))
        places = [
            (own[turn], own[(turn + 1) % len(own)])
            for turn in range(most)
            for own in rows.values()
            if turn < len(own) and len(own) > 1
        ]
        return [(self.clip(int(a)), self.clip(int(b))) for a, b in places[:count]]


class FeatureReport(NamedTuple):
    """Quality of codes: what they keep of the features, and how they use the codebooks."""

    error: float
    """Mean squared error of the features as a share of their variance."""
    codes: CodeReport
    """Use of the codebooks."""


@torch.inference_mode()
def evaluate_quantizer(synthesizer: Synthesizer, held_out: HeldOut) -> FeatureReport:
    """Measure feature error and codebook use over all held-out clips."""
    quantizer = synthesizer.quantizer
    targets, reconstructions, codes = [], [], []
    for row in range(held_out.index.num_clips):
        wave = held_out.clip(row).wave
        assert wave is not None
        batch = torch.from_numpy(wave)[None, None].to(synthesizer.device)
        lengths = torch.tensor([len(wave)], device=synthesizer.device)
        features, mask = synthesizer.speech_encoder(batch, lengths)
        codes.append(quantizer.encode(features, mask))
        decoded = quantizer.decode(codes[-1])[:, : features.shape[1]]
        targets.append(features / quantizer.feature_std)
        reconstructions.append(decoded / quantizer.feature_std)
    target, reconstruction = torch.cat(targets, dim=1), torch.cat(reconstructions, dim=1)
    every = torch.ones(target.shape[:2], dtype=torch.bool, device=target.device)
    error = unexplained_variance(reconstruction, target, every)
    size = quantizer.config.codes.codebook_size
    return FeatureReport(float(error), evaluate_codes(codes, size))


def training_entropy(source: SourceConfig, codebook_size: int) -> tuple[float, ...]:
    """Return the unigram entropy in nats of each codebook over the training codes."""
    index = CorpusIndex.open(source)
    reader = MappedReader(index, ("codes",))

    def codes() -> Iterator[Tensor]:
        for row in range(index.num_clips):
            clip = read_clip(reader, row)
            if isinstance(clip, Clip) and clip.codes is not None:
                yield torch.from_numpy(clip.codes.astype(np.int64))

    return evaluate_codes(codes(), codebook_size).entropy_nats


def validation_means(stage: Stage, config: RunConfig, max_batches: int) -> Mapping[str, float]:
    """Return `"<trainable>/<term>"` -> mean over the first held-out micro-batches."""
    index = CorpusIndex.open(*config.data.validation)
    plan = validation_plan(index, config.data, config.seed, stage.members)
    batches = islice(make_validation_loader(plan), max_batches)
    means = validate(stage, batches, Distributed(), seed=config.seed)
    return {name.removeprefix("validation/"): value for name, value in means.items()}


def fresh_stage(config: RunConfig) -> Any:
    """Return the stage of a run as it is before training, with the weights that it starts from."""
    seed_torch(config.seed, "build")
    return STAGES[config.stage].build(config, Distributed().device)


def load_weights(stage: Stage, run: Path) -> None:
    """Give a stage the weights of a run's newest checkpoint."""
    for name, trainable in stage.trainables.items():
        component = load_component(find_component(run, name), trainable.kind)
        trainable.module.load_state_dict(component.tensors)


def reconstruct(synthesizer: Synthesizer, held_out: HeldOut, count: int) -> list[Reconstruction]:
    """Send recordings through their codes, in the style of another clip of the voice."""
    made = []
    for clip, other in held_out.pairs(count):
        assert clip.wave is not None
        assert clip.codes is not None
        style = synthesizer.style([_reference(other)])
        codes = torch.from_numpy(clip.codes.astype(np.int64))
        wave = synthesizer.decode(codes, style, noise_scale=0.0)
        made.append(
            Reconstruction(
                key=clip.key,
                text=clip.text,
                language=clip.language,
                speaker=clip.speaker,
                recording=clip.wave,
                reconstruction=wave[: len(clip.wave)],
            )
        )
    return made


def speak(
    synthesizer: Synthesizer, held_out: HeldOut, count: int, seed: int
) -> list[SpokenSentence]:
    """Speak held-out sentences in held-out voices, each prompted by one other clip."""
    sentences = []
    for clip, other in held_out.pairs(count):
        assert other.wave is not None
        start = time.monotonic()
        speech = synthesizer.synthesize(clip.text, [_reference(other)], seed=seed)
        sentences.append(
            SpokenSentence(
                text=clip.text,
                language=clip.language,
                speaker=clip.speaker,
                reference=other.wave,
                reference_text=other.text,
                generated=speech.wave,
                ended_by="eos" if speech.ended else "cap",
                compute_sec=time.monotonic() - start,
            )
        )
    return sentences


def _reference(clip: Clip) -> Reference:
    assert clip.wave is not None
    return Reference(wave=clip.wave, text=clip.text)
