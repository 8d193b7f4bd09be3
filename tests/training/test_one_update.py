"""What a reader of one update of the debug GPT has to open."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch

import gsv2.training
from gsv2.config import load_config
from gsv2.shipped import find_config
from gsv2.stages import SCHEMAS
from gsv2.stages.gpt import GPTStage
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.loop import TrainingLoop
from gsv2.training.prefetch import StepPrefetcher
from gsv2.training.step import StepResult
from gsv2.training.trainer import Trainer
from tests.support.tiny_gpt import code_batch, save_quantizer
from tests.support.toy_stage import toy_position

MAX_FILES = 12
TRACED_STEP = 4
TRAINING = Path(gsv2.training.__file__).parent


def test_one_update_is_read_in_at_most_twelve_files_of_training(
    tmp_path: Path, distributed: Distributed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its counting, rows and checkpoints hang on one call after it; the first step checks more."""
    entered: set[str] = set()

    def enter(frame: FrameType, event: str, value: Any) -> None:
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(TRAINING):
            entered.add(file.relative_to(TRAINING).as_posix())

    take = TrainingLoop._update

    def traced(loop: TrainingLoop, prefetcher: StepPrefetcher) -> StepResult:
        before = sys.gettrace()
        if loop._state.step + 1 == TRACED_STEP:
            sys.settrace(enter)
        try:
            return take(loop, prefetcher)
        finally:
            sys.settrace(before)

    monkeypatch.setattr(TrainingLoop, "_update", traced)
    quantizer = save_quantizer(tmp_path / "quantizer.safetensors")
    sections = ("trainer.max_steps=6", "trainer.validate_every_steps=0", "tracking.progress=false")
    values = [f"run.dir={tmp_path}", f"model.quantizer={quantizer}", *sections]
    config = load_config(find_config(Path("gpt/attention_debug")), values, SCHEMAS)
    stage = GPTStage(config, torch.device("cpu"))
    batch = code_batch([5, 7], [0, 0])
    stream = (replace(batch, micro_batch=k, position=toy_position(k)) for k in itertools.count())
    Trainer(config, distributed).fit(stage, lambda start, positions: stream)

    assert {"loop.py", "prefetch.py", "step.py", "stage.py", "engines/plain.py"} <= entered
    assert len(entered) <= MAX_FILES, sorted(entered)
