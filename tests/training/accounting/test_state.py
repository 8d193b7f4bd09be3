import json
from dataclasses import asdict, fields

from gsv2.data.plan.window import LanePosition, PartPosition
from gsv2.training.accounting.ledger import LaneEpoch, Tally
from gsv2.training.accounting.state import TrainState
from gsv2.training.precision.loss_scale import LossScale


def test_every_number_comes_back_from_a_checkpoint():
    values = {field.name: place + 1 for place, field in enumerate(fields(TrainState))}
    parts = (PartPosition(1, 2, 3, 1 / 3), PartPosition(0, 0, 9, 2e-9))
    values |= {
        "positions": {lane: LanePosition(lane, 7, 4, parts) for lane in (2, 10)},
        "ledger": {LaneEpoch(1, 10, 0): Tally(clips=3, digest=2**127, bad_clips=1, bad_digest=4)},
        "sequences": {1: 5, 4: 2},
        "history": {"gpt/loss": [1 / 3, 2e-9]},
        "record": {"gpt/loss": 1 / 3, "data/ledger": [{"lane": 2}]},
        "audio_seen": {"en": 3},
        "loss_scales": {"gpt": LossScale(value=2.0**11, taken=7)},
    }
    state = TrainState(**values)
    loaded = TrainState.from_plain(json.loads(json.dumps(state.to_plain())))
    assert asdict(loaded) == asdict(state)
    assert loaded == state
    assert state.to_plain()["row"] == values["record"], "its key since the first checkpoints"
