"""What a fresh run of the waveform stage starts from."""

from dataclasses import asdict, replace

import pytest
import torch

from gsv2.models.component import save_component
from gsv2.stages.vits2 import VITS2Stage
from gsv2.stages.vits2_start import WaveformInitConfig
from tests.support import tiny_vits2
from tests.support.tiny_gpt import save_quantizer

CPU = torch.device("cpu")


@pytest.fixture
def stages(tmp_path):
    """A stage, and one that starts from its generator and discriminators."""
    save_quantizer(tmp_path / "quantizer.safetensors")
    config = tiny_vits2.make_config(tmp_path / "quantizer.safetensors")
    torch.manual_seed(0)
    first = VITS2Stage(config, CPU)
    parts = {
        "generator": first.trainables["generator"].module.generator,
        "discriminator": first.trainables["discriminator"].module,
    }
    for kind, module in parts.items():
        about = {"kind": kind, "config": asdict(module.config), "provenance": {}}
        save_component(tmp_path / f"{kind}.safetensors", module, **about)
    init = WaveformInitConfig(**{kind: str(tmp_path / f"{kind}.safetensors") for kind in parts})
    torch.manual_seed(1)
    return first, VITS2Stage(replace(config, waveform_init=init), CPU)


def test_both_networks_take_the_weights_and_all_else_stays(stages):
    first, second = stages
    names = ("generator", "discriminator")
    before = {name: second.trainables[name].module.state_dict() for name in names}
    kept = {name: {k: v.clone() for k, v in of.items()} for name, of in before.items()}
    second.initialise([])
    for name in names:
        wanted = first.trainables[name].module.state_dict()
        for key, value in second.trainables[name].module.state_dict().items():
            is_taken = name == "discriminator" or key.startswith("generator.")
            assert torch.equal(value, wanted[key] if is_taken else kept[name][key]), key


def test_weights_of_another_kind_or_none_are_refused(stages, tmp_path):
    _, stage = stages
    wrong = {"generator": str(tmp_path / "discriminator.safetensors")}
    stage._init = WaveformInitConfig(**wrong)
    with pytest.raises(ValueError, match="must hold a generator, but holds 'discriminator'"):
        stage.initialise([])
    with pytest.raises(ValueError, match=r"waveform_init\.generator must be none or name a file"):
        WaveformInitConfig(generator="")
