"""A corpus in which some texts are swapped and some clips under a wrong speaker, and its GPT.

A text is two words, each of which says the four codes that a codebook draws from: what a GPT of one
layer learns in seconds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from gsv2.data.building.codes import CodesOrigin, write_codes
from gsv2.data.building.encode import ClipRecord, ShardConfig
from gsv2.data.building.shards import write_corpus
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.format import HOP_LENGTH, SAMPLE_RATE
from gsv2.data.corpus.index import CorpusIndex
from gsv2.models.component import save_component
from gsv2.stages.gpt import GPTStage
from tests.support.hand_made_batches import make_clips
from tests.support.tiny_corpus import synthetic_wave
from tests.support.tiny_gpt import V, make_config, save_quantizer

_WORDS = (("red", "green", "blue", "white"), ("house", "tree", "river", "bird"))
_CODES = 4
_NUM_SPEAKERS = 4
_STEPS = 25  # more, and it knows the wrong texts by heart
_BATCH = 32


@dataclass(frozen=True)
class MislabelledCorpus:
    """Where it lies, and what is wrong with it."""

    path: Path
    codes: Path
    gpt: Path
    swapped: frozenset[str]
    """Keys of clips with the text of another one."""
    mixed: frozenset[str]
    """Keys of clips under the name of another speaker."""


def make_mislabelled(folder: Path, num_clips: int = 96) -> MislabelledCorpus:
    """Write the corpus, its codes and a GPT that was trained on them as they are labelled."""
    rng = np.random.default_rng(0)
    said = rng.integers(4, size=(num_clips, 2))  # word of each codebook
    frames = rng.integers(15, 25, num_clips)
    codes = {
        f"clip{n}": (_CODES * of[:, None] + rng.integers(_CODES, size=(2, T))).astype(np.uint16)
        for n, (of, T) in enumerate(zip(said, frames, strict=True))
    }
    swapped, mixed = range(0, num_clips, 12), range(5, num_clips, 12)
    wrong = rng.integers(1, 4, size=(num_clips, 2))
    labels = [(of + (n in swapped) * wrong[n]) % 4 for n, of in enumerate(said)]
    texts = [" ".join(w[i] for w, i in zip(_WORDS, of, strict=True)) for of in labels]
    clips = (
        ClipRecord(
            key=f"clip{n}",
            wave=_spoken(n % _NUM_SPEAKERS, int(frames[n]), rng),
            text=texts[n],
            language="en",
            speaker=f"speaker{(n + (n in mixed)) % _NUM_SPEAKERS}",
        )
        for n in range(num_clips)
    )
    corpus = folder / "corpus"
    write_corpus(clips, corpus, ShardConfig(shard_mb=1.0))
    quantizer = save_quantizer(folder / "quantizer.safetensors")
    stage = GPTStage(make_config(quantizer, "parallel"), torch.device("cpu"))
    index = CorpusIndex.open(SourceConfig(path=str(corpus)))
    keys = [
        (s.name, key) for s in index.shards for key in index.read(s, ["key"])["key"].to_pylist()
    ]
    arrays = [(shard, key, codes[key]) for shard, key in keys]
    write_codes(corpus, folder / "codes", arrays, CodesOrigin(stage.quantizer_hash, V, 25.0))
    _train(stage, list(codes.values()), texts, rng)
    _save(stage, folder / "gpt.safetensors")
    named = frozenset(f"clip{n}" for n in swapped), frozenset(f"clip{n}" for n in mixed)
    return MislabelledCorpus(corpus, folder / "codes", folder / "gpt.safetensors", *named)


def _spoken(speaker: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    seconds = frames * 2 * HOP_LENGTH / SAMPLE_RATE
    return synthetic_wave(seconds, 80.0 * 1.8**speaker, rng)


def _train(
    stage: GPTStage, codes: list[np.ndarray], texts: list[str], rng: np.random.Generator
) -> None:
    optimizer = torch.optim.Adam(stage.model.parameters(), lr=1e-2)
    for step in range(_STEPS):
        chosen = rng.choice(len(codes), _BATCH, replace=False)
        lengths = torch.tensor([codes[n].shape[1] for n in chosen])
        padded = torch.full((_BATCH, 2, int(lengths.max())), -1)
        for row, n in zip(padded, chosen, strict=True):
            row[:, : codes[n].shape[1]] = torch.from_numpy(codes[n].astype(np.int64))
        batch = make_clips(
            range(_BATCH), codes=padded, code_lengths=lengths, texts=tuple(texts[n] for n in chosen)
        )
        (update,) = stage.updates(batch, step)
        optimizer.zero_grad()
        update.loss.backward()
        optimizer.step()


def _save(stage: GPTStage, file: Path) -> None:
    config = asdict(stage.model.config)
    provenance = {"quantizer": stage.quantizer_hash}
    save_component(file, stage.model, kind="gpt", config=config, provenance=provenance)
