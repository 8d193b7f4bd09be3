"""Adapters of a GPT; the reference of the merged network is the adapted one."""

import sys
from dataclasses import asdict, replace

import pytest
import torch

from gsv2.models.component import ComponentError, load_component, save_component
from gsv2.models.gpt.lora import LoraConfig, merge_adapters
from gsv2.models.gpt.model import GPTInputs, SemanticGPT
from tests.support.tiny_bundle import save_parts, tiny_modules

CLIPS = GPTInputs(
    text=torch.tensor([[97, 98, 99]]),
    text_lengths=torch.tensor([3]),
    codes=torch.randint(0, 16, (1, 2, 5), generator=torch.Generator().manual_seed(0)),
    code_lengths=torch.tensor([5]),
    sequence=torch.tensor([0]),
)


@pytest.fixture
def adapted():
    """A GPT whose adapters have learnt something."""
    pytest.importorskip("peft", reason="adapters are an extra: pip install 'gsv2[lora]'")
    plain = tiny_modules()["gpt"].config
    torch.manual_seed(0)
    model = SemanticGPT(replace(plain, lora=LoraConfig(rank=2, alpha=3.0)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    return model.eval()


def save(model, path, **config):
    values = {**asdict(model.config), **config}
    save_component(path, model, kind="gpt", config=values, provenance={"quantizer": "q"})
    return load_component(path, "gpt")


def test_of_the_backbone_the_adapters_train_alone_and_all_else_trains(adapted):
    trained = {name for name, p in adapted.named_parameters() if p.requires_grad}
    of_backbone = {name for name in trained if name.startswith("backbone.")}
    assert of_backbone
    assert all("lora_" in name for name in of_backbone)
    assert {"text_start", "head.input.weight", "audio_input.project.weight"} <= trained


def test_a_loaded_gpt_has_no_adapters_and_says_what_the_adapted_one_does(adapted, tmp_path):
    component = save(adapted, tmp_path / "gpt.safetensors")
    loaded = SemanticGPT.from_component(component)
    assert loaded.config.lora == LoraConfig()
    assert not any("lora" in name or "base_layer" in name for name in loaded.state_dict())
    with torch.no_grad():
        found, expected = (model(CLIPS).logits for model in (loaded, adapted))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)
    assert merge_adapters(merge_adapters(component)).config == merge_adapters(component).config


def test_a_bundle_has_one_matrix_and_needs_no_peft(adapted, tmp_path, monkeypatch):
    from gsv2.inference.bundle import export_bundle, load_bundle

    save_parts(tmp_path / "parts")
    file = tmp_path / "parts" / "gpt.safetensors"
    known = load_component(file, "gpt")
    modules = tiny_modules()
    adapted.audio_input.load_state_dict(modules["gpt"].audio_input.state_dict())
    save_component(
        file, adapted, kind="gpt", config=asdict(adapted.config), provenance=known.provenance
    )
    monkeypatch.setitem(sys.modules, "peft", None)
    bundle = export_bundle([tmp_path / "parts"], tmp_path / "bundle")
    gpt = load_bundle(bundle)["gpt"]
    assert gpt.config["lora"]["rank"] == 0
    assert gpt.tensors.keys() == modules["gpt"].state_dict().keys()


def test_a_damaged_adapter_is_named(adapted, tmp_path):
    component = save(adapted, tmp_path / "gpt.safetensors")
    name = "backbone.layers.0.self_attn.q_proj"
    tensors = dict(component.tensors)
    del tensors[f"{name}.lora_A.default.weight"]
    with pytest.raises(ComponentError, match=f"adapter of {name} is damaged"):
        merge_adapters(replace(component, tensors=tensors))
    with pytest.raises(ComponentError, match=r"config\.lora is damaged"):
        merge_adapters(replace(component, config={**component.config, "lora": {"rank": 2}}))


def test_without_peft_adapters_are_refused_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    plain = tiny_modules()["gpt"].config
    with pytest.raises(ValueError, match=r"pip install 'gsv2\[lora\]'"):
        SemanticGPT(replace(plain, lora=LoraConfig(rank=2)))


def test_impossible_adapters_are_refused():
    with pytest.raises(ValueError, match=r"lora.rank must be at least 0"):
        LoraConfig(rank=-1)
    with pytest.raises(ValueError, match=r"lora.modules must name layers"):
        LoraConfig(rank=1, modules=())
    pytest.importorskip("peft")
    plain = tiny_modules()["gpt"].config
    with pytest.raises(ValueError, match=r"has 'none_such'"):
        SemanticGPT(replace(plain, lora=LoraConfig(rank=1, modules=("none_such",))))
