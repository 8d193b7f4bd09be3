from __future__ import annotations

from pathlib import Path

import soundfile

from gsv2.training.distributed.ranks import Distributed
from tests.support.panel_stage import ShowingStage
from tests.support.toy_stage import fit_toy, toy_config


def test_zero_3_shows_what_one_process_shows_and_no_rank_waits_for_ever(
    tmp_path: Path, deepspeed_ranks: Path
) -> None:
    config = toy_config(tmp_path, tracking={"samples": 2})
    fit_toy(config, Distributed(), stage_class=ShowingStage)
    folders = [root / "run" / "samples" for root in (tmp_path, deepspeed_ranks / "gallery")]
    names = [sorted(str(p.relative_to(f)) for p in f.rglob("*.*")) for f in folders]
    assert names[0] == names[1]
    assert len(names[0]) == 2 * 2 * 1  # validations; a clip in the first batch; sheet and sound
    for name in names[0]:
        if name.endswith(".flac"):
            (wave, _), (other, _) = (soundfile.read(folder / name) for folder in folders)
            assert abs(wave - other).max() < 1e-3
