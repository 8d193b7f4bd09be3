from __future__ import annotations

import pytest
import torch
from torch import nn

from gsv2.training.precision.policy import PrecisionError, PrecisionPolicy

CPU = torch.device("cpu")
MODULES = ("quantizer", "mhubert", "gpt", "losses")


def test_modules_compute_in_their_dtype_and_unnamed_ones_in_fp32() -> None:
    policy = PrecisionPolicy({"gpt": "bf16"}, MODULES)
    linear, x = nn.Linear(2, 2), torch.ones(1, 2)
    with policy.autocast("gpt", CPU):
        assert linear(x).dtype == torch.bfloat16
        with policy.autocast("losses", CPU):
            assert linear(x).dtype == torch.float32
    assert policy.table() == {
        "quantizer": "fp32", "mhubert": "fp32", "gpt": "bf16", "losses": "fp32"
    }  # fmt: skip


def test_an_unknown_module_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(PrecisionError, match=r"precision\.gtp.*quantizer, mhubert, gpt, losses"):
        PrecisionPolicy({"gtp": "bf16"}, MODULES)


def test_an_unknown_dtype_is_refused_with_the_known_ones() -> None:
    with pytest.raises(PrecisionError, match="fp32, bf16, fp16, but is 'fp8'"):
        PrecisionPolicy({"gpt": "fp8"}, MODULES)


def test_fp16_computes_in_half_precision_and_asks_for_loss_scaling() -> None:
    policy = PrecisionPolicy({"gpt": "fp16"}, MODULES)
    with policy.autocast("gpt", CPU):
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.float16
    assert policy.needs_loss_scale
    assert not PrecisionPolicy({"gpt": "bf16"}, MODULES).needs_loss_scale


@pytest.mark.parametrize(
    ("module", "reason"), [("quantizer", "flips codes"), ("mhubert-147", "overflows")]
)
@pytest.mark.parametrize("half", ["bf16", "fp16"])
def test_combinations_known_to_fail_are_refused_with_the_reason(
    module: str, reason: str, half: str
) -> None:
    with pytest.raises(PrecisionError, match=f"{module} must be fp32, but is {half}: .*{reason}"):
        PrecisionPolicy({module: half}, (*MODULES, "mhubert-147"))


def test_what_a_module_is_counts_where_its_name_does_not_say_it() -> None:
    with pytest.raises(PrecisionError, match=r"precision\.ssl must be fp32.*overflows"):
        PrecisionPolicy({"ssl": "fp16"}, ("ssl",), {"ssl": "mhubert-147"})
    PrecisionPolicy({"ssl": "fp16"}, ("ssl",), {"ssl": "w2v-bert-2.0"})
