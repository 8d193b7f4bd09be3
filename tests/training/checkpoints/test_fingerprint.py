from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.shard import Shard
from gsv2.storage.storage import Storage
from gsv2.training.checkpoints.fingerprint import (
    NOT_OF_THE_PLAN,
    fingerprint_differences,
    take_fingerprint,
)

SHARD = Shard(
    number=0, name="en/clips-000000", language="en", source=0, tar="a", codes_tar="a",
    tar_index="a", codes_index="a", start=0, stop=10, seconds=60.0, sha256="0" * 64,
    codes_sha256="0" * 64, num_bytes=99, codes_num_bytes=9,
)  # fmt: skip
SHARDS = (SHARD, replace(SHARD, number=1, name="en/clips-000001", start=10, stop=20))


def make_fingerprint(
    shards: tuple[Shard, ...] = SHARDS, weight: float | None = None, **data: Any
) -> dict[str, Any]:
    sources = [SourceConfig(path="anywhere", weight=weight)]
    config = DataConfig(sources=sources, **{"max_frames": 1024, **data})
    index = CorpusIndex(shards, None, Storage())
    return take_fingerprint(index, config, ("codes", "audio"))


def differences(*args: Any, **data: Any) -> list[str]:
    return list(fingerprint_differences(make_fingerprint(), make_fingerprint(*args, **data)))


def test_the_same_dataset_has_the_same_fingerprint_also_through_json() -> None:
    saved = json.loads(json.dumps(make_fingerprint(bucket_boundaries=[10, 20])))
    assert not list(fingerprint_differences(saved, make_fingerprint(bucket_boundaries=[10, 20])))


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_frames", 2048), ("max_clips", 2), ("prompt_dropout", 0.5), ("window_mb", 1.0),
     ("language_temperature", 2.0), ("min_clip_sec", 0.1)],
)  # fmt: skip
def test_what_changes_the_plan_is_named_with_both_values(field: str, value: float) -> None:
    (text,) = differences(**{field: value})
    assert text == (
        f"data.{field} is {make_fingerprint()['data'][field]!r} there, but {value!r} in this run"
    )


@pytest.mark.parametrize(
    ("field", "value"), [("workers", 4), ("prefetch", 9), ("micro_batches_per_step", 3)]
)
def test_what_does_not_change_the_plan_does_not_count(field: str, value: int) -> None:
    assert differences(**{field: value}) == []


def test_every_field_that_is_left_out_exists() -> None:
    """A new field of the data section counts until somebody says that it does not."""
    assert {field.name for field in fields(DataConfig)} >= NOT_OF_THE_PLAN


@pytest.mark.parametrize(
    ("shards", "text"),
    [
        (SHARDS[:1], "shard en/clips-000001 of data.sources[0] is gone"),
        ((*SHARDS, replace(SHARD, number=2, name="en/x")), "shard en/x of data.sources[0] is new"),
        (SHARDS[::-1], "the shards of data.sources[0] are in another order"),
        (
            (SHARD, replace(SHARDS[1], sha256="1" * 64)),
            "shard en/clips-000001 of data.sources[0] was changed",
        ),
        (
            (SHARD, replace(SHARDS[1], codes_sha256="1" * 64)),
            "shard en/clips-000001 of data.sources[0] was changed",
        ),
        (
            (SHARD, replace(SHARDS[1], stop=19)),
            "shard en/clips-000001 of data.sources[0] was changed",
        ),
    ],
    ids=["gone", "new", "order", "audio", "codes", "clips"],
)
def test_shards_that_differ_are_named(shards: tuple[Shard, ...], text: str) -> None:
    assert differences(shards) == [text]


def test_weights_sources_and_members_count_and_places_do_not() -> None:
    assert differences(weight=2.0) == [
        "the weight of data.sources[0] is None there, but 2.0 in this run"
    ]
    more = make_fingerprint()
    more["sources"].append(more["sources"][0])
    (text,) = fingerprint_differences(make_fingerprint(), more)
    assert text == "data.sources has 1 entries there, but 2 in this run"
    fewer = {**make_fingerprint(), "members": ["codes"]}
    (text,) = fingerprint_differences(make_fingerprint(), fewer)
    assert text == "members are ['audio', 'codes'] there, but ['codes'] in this run"
    moved = tuple(replace(shard, tar="elsewhere", tar_index="elsewhere") for shard in SHARDS)
    assert differences(moved) == []


def test_it_is_taken_from_corpus_json_alone(
    tiny_corpus: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tiny_corpus.source
    index = CorpusIndex.open(source)
    monkeypatch.setattr(CorpusIndex, "read", pytest.fail)
    config = DataConfig(sources=[source], max_frames=100)
    taken = take_fingerprint(index, config, ("audio",))
    names = json.loads((tiny_corpus.path / "corpus.json").read_text())["shards"]
    assert list(taken["sources"][0]["shards"]) == [shard["name"] for shard in names]


def test_checkpoints_from_before_a_field_count_as_planned_with_its_default() -> None:
    saved = make_fingerprint()
    del saved["data"]["tokens_per_text_byte"]
    assert not list(fingerprint_differences(saved, make_fingerprint()))
    (text,) = fingerprint_differences(saved, make_fingerprint(tokens_per_text_byte=0))
    assert text == "data.tokens_per_text_byte is 1 there, but 0 in this run"
