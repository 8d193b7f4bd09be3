"""Samples of a GAN whose networks are both under ZeRO-3, on every rank.

A pass of one rank alone would wait for the other for ever.
"""

from __future__ import annotations

from pathlib import Path

from gsv2.training.distributed.ranks import Distributed
from tests.support.panel_stage import ShowingStage
from tests.support.toy_stage import fit_toy, toy_config


def show(out: Path, ranks: Distributed) -> None:
    """Fit the toy in `out`. Collective."""
    zero_3 = {"kind": "deepspeed", "zero_stage": 3}
    engines = {"generator": zero_3, "discriminator": zero_3}
    config = toy_config(out, engines=engines, tracking={"samples": 2})
    stage, _ = fit_toy(config, ranks, stage_class=ShowingStage)
    for trainable in stage.trainables.values():
        assert all(hasattr(parameter, "ds_id") for parameter in trainable.module.parameters())
