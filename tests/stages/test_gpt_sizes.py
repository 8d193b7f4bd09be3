"""Shipped sizes of the GPT, built without memory: their heads say how many parameters they have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gsv2.config import load_config
from gsv2.models.gpt.model import SemanticGPT
from gsv2.nn.codes import CodeConfig
from gsv2.stages import SCHEMAS
from gsv2.text.encoders.config import TextVectorsConfig, TokenizerConfig

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "gpt"
BGE_M3 = TextVectorsConfig(dim=1024)
QWEN2 = TokenizerConfig(size=151_665)
"""What the stage fills in: the published tokenizer of Qwen2.5 has so many subwords."""


@pytest.mark.parametrize("name", ["base", "large", "bge"])
@pytest.mark.parametrize("groups", [1, 2])
def test_the_head_of_a_config_says_its_parameters_with_2_and_with_4_codebooks(name, groups):
    file = CONFIGS / f"{name}.yaml"
    gpt = load_config(file, [], SCHEMAS).model.gpt
    codes = CodeConfig(groups=groups, levels=2, codebook_size=1024, dim=256)
    with torch.device("meta"):
        model = SemanticGPT(replace(gpt, codes=codes, text_vectors=BGE_M3, tokenizer=QWEN2))
    count = sum(parameter.numel() for parameter in model.parameters())
    head = " ".join(file.read_text().split("\nstage:")[0].replace("#", " ").split())
    said = {1: "{:,} parameters with 2 codebooks", 2: "codebooks, {:,} with 4"}[groups]
    assert said.format(count) in head


def test_the_large_one_fits_the_text_lm_that_it_starts_from():
    """Sizes of config.json of Qwen/Qwen2.5-0.5B (arXiv 2412.15115, table 1)."""
    sizes = load_config(CONFIGS / "large.yaml", [], SCHEMAS).model.gpt.backbone
    assert (sizes.dim, sizes.num_layers, sizes.num_heads, sizes.num_kv_heads) == (896, 24, 14, 2)
    assert (sizes.ffn_dim, sizes.rope_theta) == (4864, 1e6)
