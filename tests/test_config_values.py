from dataclasses import asdict

import pytest

from gsv2.config import load_config
from gsv2.config_values import _numbers
from gsv2.stages import SCHEMAS

_CONFIG = "configs/vits2/debug.yaml"
MAY_BE_INFINITE = {"max_grad_norm"}


def _settings(path: str) -> list[tuple[str, str]]:
    numbers = _numbers(asdict(load_config(path, [], SCHEMAS)))
    return [
        (key, name) for key, name, value in numbers if isinstance(value, float) and "[" not in key
    ]


@pytest.mark.parametrize("value", [".nan", ".inf", "-1"])
@pytest.mark.parametrize("stage", ["quantizer", "gpt", "vits2"])
def test_no_float_of_a_shipped_config_may_be(stage: str, value: str) -> None:
    path = f"configs/{stage}/debug.yaml"
    for key, name in _settings(path):
        if value == ".inf" and name in MAY_BE_INFINITE:
            continue
        with pytest.raises(ValueError, match=name):
            load_config(path, [f"{key}={value}"], SCHEMAS)


@pytest.mark.parametrize(
    "override",
    [
        "data.max_clip_sec=.nan",
        "data.max_frames=-1",
        "data.workers=-1",
        "data.window_mb=0",
        "optim.generator.betas=[.nan, 0.9]",
        "model.generator.channels=0",
        "model.generator.content.block.num_heads=0",
        "model.discriminator.scale_group_width=0",
        "model.generator.style.dropout=1.5",
        "tracking.peak_tflops=.nan",
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_key(override: str) -> None:
    key = override.partition("=")[0].rpartition(".")[2]
    with pytest.raises(ValueError, match=key):
        load_config(_CONFIG, [override], SCHEMAS)
