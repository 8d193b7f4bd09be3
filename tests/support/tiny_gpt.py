"""A tiny GPT stage and its batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from gsv2.audio.speech_encoders.interface import SpeechFeatures
from gsv2.config import config_to_dict
from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.stream.batch import Batch
from gsv2.models.component import save_component
from gsv2.models.gpt.backbone import BackboneConfig
from gsv2.models.gpt.model import GPTConfig
from gsv2.models.gpt.patterns import PatternName
from gsv2.models.quantizer.model import Quantizer, QuantizerConfig
from gsv2.nn.codes import CodeConfig
from gsv2.stages.gpt_config import GPTModelSection, GPTRunConfig
from gsv2.training.config import RunSection, TrainerConfig
from gsv2.training.optim import OptimConfig
from tests.support.hand_made_batches import make_clips

V = 16
_TINY = BackboneConfig(dim=32, num_layers=1, num_heads=2, num_kv_heads=1, ffn_dim=48)


def save_quantizer(path: Path, levels: int = 2) -> Path:
    """Write an untrained quantizer of `levels` codebooks of `V` entries."""
    torch.manual_seed(0)
    codes = CodeConfig(levels=levels, codebook_size=V, dim=8)
    config = QuantizerConfig(codes=codes, width=8, num_blocks=1)
    quantizer = Quantizer(config)
    frames = SpeechFeatures(torch.randn(4, 40, 160), torch.ones(4, 40, dtype=torch.bool))
    quantizer.initialise([frames], frames_per_step=100)
    provenance = {"quantizer": quantizer.fingerprint()}
    save_component(
        path, quantizer, kind="quantizer", config=config_to_dict(config), provenance=provenance
    )
    return path


def make_config(
    quantizer_file: Path,
    pattern: PatternName = "depth",
    data: Mapping[str, Any] | None = None,
    **model: Any,
) -> GPTRunConfig:
    """Return the config of a tiny run without dropout; `model` are fields of its section."""
    counts = {"max_tokens": 100, "steps_per_frame": 2 if pattern == "flatten" else 1}
    return GPTRunConfig(
        stage="gpt",
        run=RunSection(name="test"),
        data=DataConfig(sources=[SourceConfig(path="nowhere")], **(counts | dict(data or {}))),
        trainer=TrainerConfig(max_steps=10),
        model=GPTModelSection(
            quantizer=str(quantizer_file),
            gpt=GPTConfig(backbone=_TINY, depth=_TINY, pattern=pattern),
            **model,
        ),
        optim={"gpt": OptimConfig(lr=1e-2)},
    )


def code_batch(
    num_frames: Sequence[int], sequence: Sequence[int], *, seed: int = 1, **fields: Any
) -> Batch:
    """Return clips with 2 random codebooks; other fields as given."""
    lengths = torch.tensor(num_frames)
    T = int(lengths.max())
    codes = torch.randint(V, (len(lengths), 2, T), generator=torch.Generator().manual_seed(seed))
    is_padding = torch.arange(T) >= lengths[:, None, None]
    codes = codes.masked_fill(is_padding, -1)
    return make_clips(sequence, codes=codes, code_lengths=lengths, **fields)
