from types import SimpleNamespace

import pytest
import torch

from gsv2.inference import launched_work as module
from gsv2.inference.launched_work import launched_work


def test_a_process_alone_is_the_first_and_shows_a_bar() -> None:
    with launched_work("encoding") as work:
        assert work.is_main
        assert work.device == torch.device("cpu")
        assert (work.shared.ranks.rank, work.shared.ranks.world) == (0, 1)
        assert work.shared.progress is not None


def test_other_ranks_show_nothing_and_all_are_left_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[bool] = []
    ranks = SimpleNamespace(
        rank=1, world=2, is_main=False, device=torch.device("meta"),
        close=lambda: closed.append(True),
    )  # fmt: skip
    monkeypatch.setattr(module, "Distributed", lambda: ranks)
    with launched_work("encoding") as work:
        assert not work.is_main
        assert work.shared.progress is None
        assert work.device.type == "meta"
        assert not closed
    assert closed == [True]
    with launched_work("encoding", "cpu") as work:
        assert work.device.type == "cpu"


def test_a_device_that_torch_does_not_know_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="warp"), launched_work("encoding", "warp"):
        pass
