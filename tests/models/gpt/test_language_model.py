"""Layers of a text LM in a GPT's backbone; the reference is the LM, loaded by transformers."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import Qwen2ForCausalLM

from gsv2.models.gpt.backbone import BackboneConfig, make_backbone
from gsv2.models.gpt.language_model import (
    EMBEDDING,
    find_language_model,
    load_language_model,
)
from tests.support.tiny_language_model import save_language_model

SIZES = BackboneConfig(
    dim=32, num_layers=2, num_heads=2, num_kv_heads=1, ffn_dim=48, rope_theta=1e6
)


def backbone_of(folder: Path, sizes: BackboneConfig = SIZES):
    tensors = load_language_model(folder, sizes, "here")
    ours = make_backbone(sizes)
    prefix = "backbone."
    own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    ours.load_state_dict({name: own[name] for name in ours.state_dict()})
    return ours.eval(), tensors


@pytest.mark.parametrize("shard", ["50GB", "20KB"])
def test_the_backbone_computes_what_the_language_model_does(tmp_path, shard):
    folder = save_language_model(tmp_path, shard=shard)
    assert (folder / "model.safetensors.index.json").is_file() == (shard == "20KB")
    ours, tensors = backbone_of(find_language_model(str(folder), "init.backbone"))
    theirs = Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.randint(0, 200, (2, 9))
    words = tensors[EMBEDDING].float()[ids]
    with torch.no_grad():
        expected = theirs.model(input_ids=ids).last_hidden_state
        found = ours(inputs_embeds=words, use_cache=False).last_hidden_state
    torch.testing.assert_close(found, expected)


def test_fewer_layers_take_the_first_ones_and_a_head_of_words_keeps_its_name(tmp_path):
    folder = save_language_model(tmp_path, tied=False)
    _, tensors = backbone_of(folder, replace(SIZES, num_layers=1))
    assert "lm_head.weight" in tensors
    assert "backbone.layers.1.mlp.up_proj.weight" in tensors


def test_other_sizes_and_other_families_are_refused_with_what_they_should_be(tmp_path):
    folder = save_language_model(tmp_path)
    sizes = BackboneConfig(dim=64, num_layers=3, num_heads=2, num_kv_heads=2, ffn_dim=48)
    with pytest.raises(ValueError, match=r"model.gpt.backbone must have its dim=32 \(is 64\)"):
        load_language_model(folder, sizes, "here")
    with pytest.raises(ValueError, match=r"num_layers=2 or less \(is 3\)"):
        load_language_model(folder, replace(sizes, dim=32), "here")
    settings = json.loads((folder / "config.json").read_text())
    for key, value, message in (
        ("model_type", "llama", "must be of a qwen2, but is of 'llama'"),
        ("rms_norm_eps", 1e-5, "rms_norm_eps must be 1e-06"),
    ):
        (folder / "config.json").write_text(json.dumps({**settings, key: value}))
        with pytest.raises(ValueError, match=message):
            load_language_model(folder, SIZES, "here")


def test_a_damaged_file_and_a_folder_without_weights_are_named(tmp_path):
    folder = save_language_model(tmp_path / "lm")
    (folder / "model.safetensors").write_bytes(b"no such thing")
    with pytest.raises(ValueError, match=r"model.safetensors is damaged"):
        load_language_model(folder, SIZES, "here")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"lacks model.safetensors"):
        find_language_model(str(folder), "init.backbone")
