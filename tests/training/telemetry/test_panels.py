from __future__ import annotations

import numpy as np
import torch

from gsv2.training.stage import Panel
from gsv2.training.telemetry.panels import draw_sheet


def test_a_sheet_has_a_titled_picture_of_every_wave_and_image() -> None:
    tone = torch.sin(torch.arange(32_000) * 0.2)
    panel = Panel(
        name="a", waves={"loud": tone, "soft": 1e-3 * tone}, images={"error": torch.eye(4)}
    )
    axes = draw_sheet(panel).axes
    assert [a.get_title(loc="left") for a in axes] == ["loud", "soft", "error"]
    pictures = [a.images[0] for a in axes]
    assert pictures[0].get_array().shape == (128, 100)
    assert pictures[0].get_clim() == pictures[1].get_clim()  # one scale: soft looks soft
    assert np.array_equal(pictures[2].get_array(), np.eye(4))


def test_a_wave_shorter_than_a_frame_is_drawn() -> None:
    [axes] = draw_sheet(Panel(name="a", waves={"short": torch.zeros(3)})).axes
    assert axes.images[0].get_array().shape == (128, 1)
