"""Untrained parts of a bundle, small enough for any test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn

from gsv2.audio.speech_encoders.config import SpeechEncoderConfig
from gsv2.audio.speech_encoders.interface import SpeechFeatures
from gsv2.models.component import save_component
from gsv2.models.gpt.backbone import BackboneConfig
from gsv2.models.gpt.model import GPTConfig, SemanticGPT
from gsv2.models.quantizer.model import Quantizer, QuantizerConfig
from gsv2.models.vits2.config import VITS2Config
from gsv2.models.vits2.generator import GeneratorConfig
from gsv2.models.vits2.model import VITS2
from gsv2.models.vits2.style import StyleConfig
from gsv2.nn.codes import CodeConfig
from gsv2.nn.flow import FlowConfig
from gsv2.nn.transformer import BlockConfig, TransformerConfig
from gsv2.nn.wavenet import WaveNetConfig

CODES = CodeConfig(groups=1, levels=2, codebook_size=16, dim=8)
SPEECH_ENCODER = SpeechEncoderConfig(num_mels=20)
BACKBONE = BackboneConfig(dim=32, num_layers=2, num_heads=4, num_kv_heads=2, ffn_dim=48)
BLOCK = BlockConfig(num_heads=2, ffn_dim=16, dropout=0.0)
WAVENET = WaveNetConfig(channels=8, num_layers=2, kernel_size=3)
NAMES = {"quantizer": "quantizer", "gpt": "gpt", "generator": "vits2"}
"""Name of the trainable -> kind of the part."""


def tiny_modules(
    seed: int = 0, speech_encoder: SpeechEncoderConfig = SPEECH_ENCODER
) -> dict[str, nn.Module]:
    """Trainable name -> network, all of one quantizer."""
    torch.manual_seed(seed)
    quantizer = Quantizer(
        QuantizerConfig(
            codes=CODES,
            speech_encoder=speech_encoder,
            width=16,
            num_blocks=1,
            kernel_size=3,
        )
    )
    features = torch.randn(4, 50, quantizer.config.speech_encoder.dim)
    mask = torch.ones(4, 50, dtype=torch.bool)
    quantizer.initialise([SpeechFeatures(features, mask)], frames_per_step=100.0)
    vectors = quantizer.code_vectors().codebooks
    gpt = SemanticGPT(
        GPTConfig(backbone=BACKBONE, depth=replace(BACKBONE, num_layers=1), codes=CODES)
    )
    gpt.set_codebooks(vectors)
    vits2 = VITS2(
        VITS2Config(
            codes=CODES,
            channels=16,
            latent_channels=8,
            content=TransformerConfig(num_layers=1, style_layer=0, block=BLOCK),
            style=StyleConfig(dim=16, channels=16),
            posterior=WAVENET,
            flow=FlowConfig(num_couplings=2, wavenet=WAVENET, block=BLOCK),
            generator=GeneratorConfig(
                channels=8, stage_channels=(8, 4, 4, 4, 4), block_kernels=(3,), block_dilations=(1,)
            ),
        )
    )
    vits2.code_vectors.set_codebooks(vectors)
    return {"quantizer": quantizer, "gpt": gpt, "generator": vits2}


def save_parts(
    folder: Path,
    seed: int = 0,
    provenance: Mapping[str, str] | None = None,
    speech_encoder: SpeechEncoderConfig = SPEECH_ENCODER,
) -> Path:
    """Write the parts as the files of a checkpoint folder."""
    folder.mkdir(parents=True, exist_ok=True)
    modules = tiny_modules(seed, speech_encoder)
    fingerprint = modules["quantizer"].fingerprint()
    for name, module in modules.items():
        save_component(
            folder / f"{name}.safetensors",
            module,
            kind=NAMES[name],
            config=asdict(module.config),
            provenance=provenance or {"quantizer": fingerprint},
        )
    return folder
