"""A tiny untrained GPT that generates, and what it is to say."""

from __future__ import annotations

from dataclasses import replace

import torch

from gsv2.inference.generate import Prompt, Utterance
from gsv2.inference.sampling import SamplingConfig
from gsv2.models.gpt.backbone import BackboneConfig
from gsv2.models.gpt.model import GPTConfig, SemanticGPT
from gsv2.nn.codes import CodeConfig

NAMES = ["depth", "parallel", "delay", "flatten", "nar"]
V = 16
TINY = BackboneConfig(dim=32, num_layers=2, num_heads=4, num_kv_heads=2, ffn_dim=48)
SHORT = SamplingConfig(max_sec_per_byte=0.1, max_extra_sec=0.2)
GREEDY = replace(SHORT, temperature=0.0)


def make_gpt(pattern: str = "depth", num_codebooks: int = 2) -> SemanticGPT:
    torch.manual_seed(0)
    codes = CodeConfig(levels=num_codebooks, codebook_size=V, dim=8)
    config = GPTConfig(
        backbone=TINY, depth=replace(TINY, num_layers=1), pattern=pattern, codes=codes
    )
    model = SemanticGPT(config)
    model.set_codebooks(torch.randn(num_codebooks, V, 8))
    for classifier in model.head.classifiers:
        torch.nn.init.normal_(classifier.query.weight, std=0.1)  # untrained, it is zero
    return model.eval()


def make_utterances(num_codebooks: int = 2) -> list[Utterance]:
    torch.manual_seed(2)
    prompts = [
        Prompt("früher", torch.randint(V, (num_codebooks, 7))),
        Prompt("then", torch.randint(V, (num_codebooks, 3))),
    ]
    return [
        Utterance(text="hello", prompts=tuple(prompts)),
        Utterance(text="so"),
        Utterance(text="你好", prompts=(prompts[1],)),
    ]
