from pathlib import Path

import pytest
import torch

from gsv2.models.gpt.interleave import interleave
from gsv2.models.gpt.patterns import make_pattern
from gsv2.stages.gpt import GPTStage
from tests.support.tiny_gpt import make_config, save_quantizer

CPU = torch.device("cpu")


@pytest.fixture
def quantizer_file(tmp_path: Path) -> Path:
    return save_quantizer(tmp_path / "quantizer.safetensors")


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 0.0), (1.0, 1.0, 1.0)])
def test_codebook_weights_that_do_not_fit_are_refused(quantizer_file, weights):
    with pytest.raises(ValueError, match=r"codebook_weights must be 2 positive numbers"):
        GPTStage(make_config(quantizer_file, codebook_weights=weights), CPU)


def smallest_counts(pattern: str, num_codebooks: int) -> tuple[int, int]:
    """Return `steps_per_frame` and `clip_overhead_tokens` that the layout of clips needs."""
    frames = torch.arange(1, 40)
    steps = make_pattern(pattern, num_codebooks).num_code_steps(frames)
    clips = frames * 0
    totals = interleave(clips, steps, torch.arange(39)).mask.sum(dim=1)
    per_frame = int((totals[-1] - totals[0]) / 38)
    return per_frame, int((totals - per_frame * frames).max())


@pytest.mark.parametrize("pattern", ["depth", "delay", "parallel", "flatten", "nar"])
@pytest.mark.parametrize("levels", [1, 2, 5])
def test_a_token_count_below_the_layout_is_refused_with_the_smallest_that_fits(
    tmp_path, pattern, levels
):
    quantizer = save_quantizer(tmp_path / "quantizer.safetensors", levels)
    per_frame, overhead = smallest_counts(pattern, levels)
    fits = {"steps_per_frame": per_frame, "clip_overhead_tokens": overhead}
    GPTStage(make_config(quantizer, pattern, data=fits), CPU)
    short = fits | {"clip_overhead_tokens": overhead - 1}
    with pytest.raises(ValueError, match=rf"clip_overhead_tokens must be at least {overhead} for"):
        GPTStage(make_config(quantizer, pattern, data=short), CPU)
    if per_frame > 1:
        slow = fits | {"steps_per_frame": per_frame - 1}
        with pytest.raises(ValueError, match=rf"steps_per_frame must be at least {per_frame} for"):
            GPTStage(make_config(quantizer, pattern, data=slow), CPU)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_of_moves_that_none_can_be_is_refused(quantizer_file, weight):
    with pytest.raises(ValueError, match="advance_weight must be above 0"):
        make_config(quantizer_file, advance_weight=weight)
