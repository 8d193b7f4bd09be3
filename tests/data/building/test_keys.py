"""Keys are one for each recording, in a few bytes of memory a recording."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from gsv2.data.building.keys import KeyRegister
from gsv2.data.building.offered import Recording, RejectedFile
from gsv2.data.building.readers.choice import choose_reader
from gsv2.data.building.readers.reader import ReadingOptions
from tests.support.said import put


def recording(key: str, name: str) -> Recording:
    return Recording(
        key=key, name=name, place=f"list:{name}", audio=Path(name), text="hi", language="en"
    )


def keys(recordings: list[Recording]) -> list[str]:
    register = KeyRegister()
    register.note(recordings)
    return [
        f"twice {r.value}" if isinstance(r, RejectedFile) else r.key
        for r in register.with_own_keys(recordings)
    ]


def test_a_key_of_two_names_is_told_apart_and_a_name_that_comes_again_is_rejected():
    found = keys(
        [recording("a", "1"), recording("a", "2"), recording("b", "3"), recording("b", "3")]
    )
    assert found[0] != found[1]
    assert all(key.startswith("a-") for key in found[:2])
    assert found[2] == "b"
    assert found[3] == "twice '3' stands at list:3 already"
    assert keys([]) == []


def test_rows_of_a_list_cost_a_few_bytes_each(tmp_path):
    put(tmp_path / "a.wav", b"x")
    rows = 4_000
    lines = [f"a.wav|s{number % 9}|EN|This is sentence number {number}." for number in range(rows)]
    path = put(tmp_path / "a.list", "\n".join(lines))
    reader = choose_reader(path).reader
    register = KeyRegister()
    tracemalloc.start()
    register.note(reader.recordings(path, ReadingOptions()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert register.num_recordings == rows
    assert peak / rows < 150, "the text alone has 60"
