import pytest
import torch

from gsv2.inference.device import choose_device


@pytest.mark.parametrize("has_gpu", [True, False])
def test_a_gpu_is_taken_where_there_is_one_unless_another_device_is_asked_for(has_gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert choose_device(None).type == ("cuda" if has_gpu else "cpu")
    assert choose_device(torch.device("cpu")) == torch.device("cpu")
    assert choose_device(torch.device("cuda:1")) == torch.device("cuda:1")
