from dataclasses import asdict, fields

from gsv2.training.snapshot import load_snapshot, save_snapshot
from gsv2.training.state import TrainState


def test_every_number_comes_back_from_a_checkpoint(tmp_path):
    values = {field.name: place + 1 for place, field in enumerate(fields(TrainState))}
    save_snapshot(tmp_path, {}, TrainState(**values), seed=3, world=1)
    assert asdict(load_snapshot(tmp_path, {}, seed=3)) == values
