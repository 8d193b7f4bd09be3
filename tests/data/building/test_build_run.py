"""Run of a build: the engine that is asked for works on recordings."""

from __future__ import annotations

import pytest

from gsv2.data.building.build_run import BuildRun
from gsv2.data.process_pool import Pool, ProcessPool
from gsv2.data.ray_pool import RayPool


@pytest.mark.parametrize(
    ("run", "pool"),
    [
        (BuildRun(), ProcessPool(0)),
        (BuildRun(workers=3), ProcessPool(3)),
        (BuildRun(engine="ray"), RayPool(0)),
        (BuildRun(engine="ray", workers=3), RayPool(3)),
    ],
)
def test_recordings_are_read_by_the_engine_and_the_workers_that_were_asked_for(
    run: BuildRun, pool: Pool
) -> None:
    assert run.pool == pool


def test_each_run_that_says_nothing_of_lines_logs_them(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        BuildRun().say("LJSpeech, by its metadata.csv")
    assert caplog.messages == ["LJSpeech, by its metadata.csv"]
