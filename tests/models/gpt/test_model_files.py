"""GPTs of every reading in component files."""

import pytest
import torch

from gsv2.config import config_to_dict
from gsv2.models.component import load_component, save_component
from gsv2.models.gpt.model import GPTInputs, SemanticGPT
from tests.models.gpt.test_model import make_clips, make_gpt
from tests.models.gpt.test_model_pointer import READINGS, aligned_clips


def test_a_gpt_from_before_there_were_readings_loads_and_reads_by_attention(tmp_path):
    model = make_gpt().eval()
    config = config_to_dict(model.config)
    del config["reading"], config["pointer"]
    path = tmp_path / "gpt.safetensors"
    save_component(path, model, kind="gpt", config=config, provenance={"quantizer": "q"})
    loaded = SemanticGPT.from_component(load_component(path, "gpt"))
    assert loaded.config.reading == "attention"
    clips = make_clips(model, ["ab"], [4])
    expected = model(GPTInputs(*clips, torch.tensor([0]))).logits
    for a, b in zip(loaded(GPTInputs(*clips, torch.tensor([0]))).logits, expected, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("reading", READINGS)
def test_a_component_file_gives_the_same_pointer_back(tmp_path, reading):
    model = make_gpt(reading=reading).eval()
    path = tmp_path / "gpt.safetensors"
    config = config_to_dict(model.config)
    save_component(path, model, kind="gpt", config=config, provenance={"quantizer": "q"})
    loaded = SemanticGPT.from_component(load_component(path, "gpt"))
    clips = aligned_clips(model, ["ab", "cde"], [3, 5])
    a, b = (m(GPTInputs(**clips, sequence=torch.tensor([0, 0]))) for m in (model, loaded))
    assert torch.equal(a.advance_logits, b.advance_logits)
