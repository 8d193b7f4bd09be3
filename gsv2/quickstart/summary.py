"""Figures of the report, from finished runs: measures on held-out clips and their targets."""

from __future__ import annotations

import math
import resource
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import read_manifest
from gsv2.inference.synthesizer import Synthesizer
from gsv2.quickstart.evaluate import (
    FeatureReport,
    HeldOut,
    evaluate_quantizer,
    fresh_stage,
    load_weights,
    reconstruct,
    speak,
    training_entropy,
    validation_means,
)
from gsv2.quickstart.report_data import (
    CodebookRow,
    CorpusRow,
    KeyFigure,
    ReportData,
    SpokenSentence,
    TrainedRun,
)
from gsv2.training.config import RunConfig
from gsv2.training.run_folder.folder import describe_environment

NUM_PANELS = 6
NUM_SENTENCES = 10
MEL_BATCHES = 6
"""Held-out micro-batches that the mel distance is measured on."""
MAX_FEATURE_ERROR = 0.5
MIN_PERPLEXITY_SHARE = 0.2
MAX_MEL_RATIO = 0.6
MIN_ENDED = 8
MAX_MEMORY_GIB = 8.0


def collect(out: Path, configs: Mapping[str, RunConfig], device: torch.device) -> ReportData:
    """Measure everything and return the data of the report, but for the time that it took.

    Args:
        out: folder of the quickstart.
        configs: stage -> config of its run.
        device: device to measure on.
    """
    held_out = HeldOut(_source(out, "heldout"))
    synthesizer = Synthesizer.from_bundle(out / "bundle", device)
    features = evaluate_quantizer(synthesizer, held_out)
    sentences = speak(synthesizer, held_out, NUM_SENTENCES, configs["gpt"].seed)
    size = synthesizer.quantizer.config.codes.codebook_size
    entropy = training_entropy(_source(out, "train"), size)
    memory = _peak_memory_gib()
    figures = [
        *_quantizer_figures(features),
        *_gpt_figures(configs["gpt"], out / "gpt", entropy),
        *_vits2_figures(configs["vits2"], out / "vits2"),
        _ended_figure(sentences),
        KeyFigure(name="peak memory", value=memory, target=MAX_MEMORY_GIB, unit="GiB"),
    ]
    return ReportData(
        figures=figures,
        corpus=[*_corpus_rows(out, "train"), *_corpus_rows(out, "heldout")],
        runs=[TrainedRun(name=stage, folder=out / stage) for stage in configs],
        num_voices={
            part: read_manifest(out / "corpus" / part).num_speakers for part in ("train", "heldout")
        },
        codebooks=_codebook_rows(features, size),
        reconstructions=reconstruct(synthesizer, held_out, NUM_PANELS),
        sentences=sentences,
        steps=[],
        total_sec=0.0,
        peak_memory_gib=memory,
        machine=_machine(device),
    )


def _source(out: Path, part: str) -> SourceConfig:
    return SourceConfig(path=str(out / "corpus" / part), codes=str(out / "codes" / part))


def _quantizer_figures(features: FeatureReport) -> Iterator[KeyFigure]:
    yield KeyFigure(
        name="quantizer feature error",
        value=features.error,
        target=MAX_FEATURE_ERROR,
        note="mean squared error of held-out features, as a share of their variance",
    )
    for k, share in enumerate(features.codes.perplexity_share):
        yield KeyFigure(
            name=f"perplexity / V of codebook {k}",
            value=share,
            target=MIN_PERPLEXITY_SHARE,
            better="higher",
            note="over all held-out codes",
        )


def _gpt_figures(config: RunConfig, run: Path, entropy: Sequence[float]) -> Iterator[KeyFigure]:
    stage = fresh_stage(config)
    load_weights(stage, run)
    means = validation_means(stage, config, max_batches=sys.maxsize)
    for k, bound in enumerate(entropy):
        loss = means[f"gpt/loss_{k}"]
        yield KeyFigure(
            name=f"GPT loss of codebook {k}",
            value=loss,
            target=bound,
            unit="nats",
            note=f"held-out; {bound - loss:.2f} below the unigram entropy of the training codes",
        )


def _vits2_figures(config: RunConfig, run: Path) -> Iterator[KeyFigure]:
    stage = fresh_stage(config)
    key = "generator/mel_through_codes"
    untrained = validation_means(stage, config, MEL_BATCHES)[key]
    load_weights(stage, run)
    trained = validation_means(stage, config, MEL_BATCHES)[key]
    yield KeyFigure(
        name="VITS2 mel L1 against untrained",
        value=trained / untrained,
        target=MAX_MEL_RATIO,
        note=f"held-out recordings through codes: {trained:.3f}, untrained {untrained:.3f}",
    )


def _ended_figure(sentences: Sequence[SpokenSentence]) -> KeyFigure:
    ended = sum(sentence.ended_by == "eos" for sentence in sentences)
    return KeyFigure(
        name="sentences ended by EOS",
        value=ended,
        target=math.ceil(MIN_ENDED / NUM_SENTENCES * len(sentences)),
        better="higher",
        note=f"of {len(sentences)} held-out sentences in held-out voices",
    )


def _codebook_rows(features: FeatureReport, size: int) -> list[CodebookRow]:
    shares = zip(features.codes.perplexity_share, features.codes.usage, strict=True)
    return [
        CodebookRow(codebook=k, size=size, perplexity=share * size, usage=usage)
        for k, (share, usage) in enumerate(shares)
    ]


def _corpus_rows(out: Path, part: str) -> Iterator[CorpusRow]:
    """Yield one row a language."""
    index = CorpusIndex.open(_source(out, part))
    languages = index.strings("language").to_pylist()
    speakers = index.strings("speaker").to_pylist()
    durations = index.numbers("duration_sec").tolist()
    clips = list(zip(languages, speakers, durations, strict=True))
    for language in sorted(set(languages)):
        own = [clip for clip in clips if clip[0] == language]
        yield CorpusRow(
            split="heldout" if part == "heldout" else "train",
            language=language,
            clips=len(own),
            minutes=sum(seconds for _, _, seconds in own) / 60,
            voices=len({speaker for _, speaker, _ in own}),
        )


def _machine(device: torch.device) -> dict[str, str]:
    """Return the facts of the machine, versions included, as flat text."""
    environment = describe_environment(1, device)
    packages = environment.pop("packages")
    return {key: str(value) for key, value in {**environment, **packages}.items() if value}


def _peak_memory_gib() -> float:
    """Return the largest resident set of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)
