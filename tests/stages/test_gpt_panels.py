from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gsv2.models.gpt.patterns import PatternName
from gsv2.stages.gpt import GPTStage
from gsv2.training.telemetry.gallery import first_clips
from gsv2.training.telemetry.samples import draw_sheet
from tests.support.tiny_gpt import code_batch, make_config, save_quantizer

FRAMES = (5, 3, 7)


def make_stage(folder: Path, pattern: PatternName = "depth") -> GPTStage:
    torch.manual_seed(0)
    quantizer = save_quantizer(folder / "quantizer.safetensors")
    stage = GPTStage(make_config(quantizer, pattern), torch.device("cpu"))
    stage.model.eval()
    return stage


@pytest.mark.parametrize("pattern", ["depth", "delay", "parallel", "flatten", "nar"])
def test_pictures_are_of_each_clips_codes_and_agree_with_the_metrics(
    tmp_path: Path, pattern: PatternName
) -> None:
    stage, batch = make_stage(tmp_path, pattern), code_batch(FRAMES, (0, 0, 1))
    panels = stage.panels(batch)
    assert [panel.name for panel in panels] == list(batch.keys)
    for codes, panel, num_frames in zip(batch.codes, panels, FRAMES, strict=True):
        assert torch.equal(panel.images["codes"], codes[:, :num_frames])
        assert {image.shape for image in panel.images.values()} == {(2, num_frames)}
    metrics = stage.validate(batch)
    likely, right, codes = (
        torch.cat([panel.images[title] for panel in panels], dim=1)
        for title in ("likeliest", "log_probability", "codes")
    )
    for k in range(2):
        assert float(-right[k].mean()) == pytest.approx(float(metrics[f"gpt/loss_{k}"]), rel=1e-4)
        hits = (likely[k] == codes[k]).float().mean()
        assert float(hits) == pytest.approx(float(metrics[f"gpt/top1_{k}"]))


def test_clips_that_were_packed_into_rows_are_shown_as_those_that_were_not(tmp_path: Path) -> None:
    """Their prompts are before them all the same."""
    stage, batch = make_stage(tmp_path), code_batch(FRAMES, (0, 0, 1))
    rows = {
        "packed_row": torch.zeros(3, dtype=torch.int64),
        "num_packed_rows": 1,
        "row_tokens": 100,
    }
    packed = code_batch(FRAMES, (0, 0, 1), **rows)
    for panel, other in zip(
        stage.panels(first_clips(packed, 2)), stage.panels(batch), strict=False
    ):
        for title, image in panel.images.items():
            torch.testing.assert_close(image, other.images[title])
    assert len(stage.panels(first_clips(packed, 2))) == 2


def test_a_sheet_can_be_drawn_of_it(tmp_path: Path) -> None:
    panel = make_stage(tmp_path).panels(code_batch(FRAMES, (0, 0, 1)))[0]
    assert len(draw_sheet(panel).axes) == 3
