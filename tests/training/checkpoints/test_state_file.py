import copy
import json
from typing import Any

import pytest

from gsv2.training.accounting.state import TrainState
from gsv2.training.checkpoints.state_file import check_record


def _record() -> dict[str, Any]:
    run = json.loads(json.dumps(TrainState(step=3).to_plain()))
    return {"format_version": 1, "schedules": {"gpt": 3}, "lanes": 8, "seed": 0, "run": run}


def test_what_a_checkpoint_writes_is_right() -> None:
    check_record(_record())


@pytest.mark.parametrize("key", ["schedules", "lanes", "seed", "run", "run.step", "run.marks",
                                 "run.sequences", "run.ledger", "run.samples_seen"])  # fmt: skip
@pytest.mark.parametrize("value", [None, "x", [1], {"a": "b"}, 1.5, True, -1.5])
def test_a_value_of_another_type_is_named_by_its_key(key: str, value: Any) -> None:
    record = copy.deepcopy(_record())
    table, _, last = key.rpartition(".")
    (record[table] if table else record)[last] = value
    with pytest.raises(ValueError, match=last):
        check_record(record)


@pytest.mark.parametrize("key", ["schedules", "lanes", "run"])
def test_a_missing_key_is_named(key: str) -> None:
    record = _record()
    del record[key]
    with pytest.raises(ValueError, match=f"{key} must be .* missing"):
        check_record(record)
