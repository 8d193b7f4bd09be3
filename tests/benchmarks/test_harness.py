"""The harness judges numbers: that is tested, and that a script gets its row into the table."""

import json
import sys

import pytest

from benchmarks import harness, token_shards
from benchmarks.__main__ import make_table
from benchmarks.harness import Row, ratios
from benchmarks.options import Options


@pytest.fixture
def steady(monkeypatch):
    """A machine whose probes are what the test sets."""
    speeds = {"memcpy": [10.0, 10.0]}
    monkeypatch.setattr(
        harness,
        "probe_machine",
        lambda quick: {name: values.pop(0) for name, values in speeds.items()},
    )
    return speeds


def measure(out, **targets):
    with Row(3, "token shards", Options(out=out)) as row:
        for name, (values, bound) in targets.items():
            row.target(name, values, **bound)
    return json.loads((out / "row-03-token-shards.json").read_text())


def test_a_target_is_judged_by_the_median(steady, tmp_path):
    row = measure(
        tmp_path,
        reached=([1.0, 3.0, 9.0], {"at_least": 3.0}),
        missed=([1.0, 2.9, 9.0], {"at_least": 3.0}),
        small=([1.0], {"at_most": 1.0}),
    )
    assert [target["met"] for target in row["targets"]] == [True, False, True]
    figure = row["figures"][0]
    assert (figure["value"], figure["low"], figure["high"]) == (3.0, 1.0, 9.0)
    assert not row["void"]
    table = make_table([row], failed=["other"])
    assert "| 3 | token shards | reached | >= 3 | 3 | 1 to 9 | met |" in table
    assert "| 3 | token shards | missed | >= 3 | 2.9 | 1 to 9 | MISSED |" in table
    assert "other failed" in table


@pytest.mark.parametrize(
    ("after", "void"), [(8.4, True), (8.6, False), (11.6, True), (11.4, False)]
)
def test_a_row_is_void_if_the_machine_changed(steady, tmp_path, after, void):
    steady["memcpy"][1] = after
    row = measure(tmp_path, one=([1.0], {"at_least": 1.0}))
    assert row["void"] == void
    assert ("VOID" in make_table([row], [])) == void


def test_a_row_that_failed_is_not_written(steady, tmp_path):
    with pytest.raises(AssertionError), Row(3, "x", Options(out=tmp_path)):
        raise AssertionError("numbers disagree")
    assert not list(tmp_path.iterdir())


def test_contenders_take_turns_and_each_begins_as_often(steady, tmp_path):
    order = []
    clock = iter(range(100))
    with Row(3, "x", Options(rounds=4, out=tmp_path)) as row:
        times = row.alternate(
            {"a": lambda: order.append("a"), "b": lambda: order.append("b")},
            clock=lambda: next(clock),
        )
    assert order == list("ab" + "ab" + "ba" + "ab" + "ba")
    assert times == {"a": [1] * 4, "b": [1] * 4}
    assert ratios([2.0, 4.0], [1.0, 8.0]) == [2.0, 0.5]


@pytest.mark.filterwarnings("default")  # of the peer's
def test_a_script_writes_its_row(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["token_shards", "--quick", "--out", str(tmp_path)])
    token_shards.main()
    told = capsys.readouterr().out
    assert "## Row 3: token shards (smoke test, no measurement)" in told
    (path,) = tmp_path.glob("row-*.json")
    row = json.loads(path.read_text())
    assert [target["figure"]["name"] for target in row["targets"]] == [
        "gsv2 / webdataset",
        "gsv2 / limit",
    ]
    assert row["machine"]["versions"]["webdataset"] != "absent"
