from dataclasses import asdict, fields

from gsv2.data.window import ComponentMark, LaneMark
from gsv2.training.ledger import LaneEpoch, Tally
from gsv2.training.snapshot import load_snapshot, save_snapshot
from gsv2.training.state import TrainState


def test_every_number_comes_back_from_a_checkpoint(tmp_path):
    values = {field.name: place + 1 for place, field in enumerate(fields(TrainState))}
    components = (ComponentMark(1, 2, 3, 1 / 3), ComponentMark(0, 0, 9, 2e-9))
    values |= {
        "marks": {lane: LaneMark(lane, 7, 4, components) for lane in (2, 10)},
        "ledger": {LaneEpoch(1, 10, 0): Tally(clips=3, digest=2**127, bad_clips=1, bad_digest=4)},
        "sequences": {1: 5, 4: 2},
    }
    state = TrainState(**values)
    save_snapshot(tmp_path, {}, state, seed=3, lanes=8, world=1)
    loaded = load_snapshot(tmp_path, {}, seed=3, lanes=8)
    assert asdict(loaded) == asdict(state)
    assert loaded == state
