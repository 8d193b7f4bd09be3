"""Damaged corpus.json and index files: one line that names file and key or column, everywhere."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError
from gsv2.data.indexing.corpus import index_corpus
from gsv2.data.indexing.format import ArchiveFormat
from gsv2.data.plan.plan import Plan
from gsv2.data.plan.summary import summarise
from gsv2.data.stream.loader import make_loader
from gsv2.data.verify.corpus import verify_corpus

INDEX = "en/clips-000000.parquet"
HUGE = 10**30
TOP = [
    *[(key, value) for key in ("num_clips", "num_bytes", "num_speakers")
      for value in ("absent", None, "3", -1, 1.5, HUGE, True)],
    *[("hours", value) for value in ("absent", None, "1", -0.5, float("nan"), float("inf"))],
    *[("kind", value) for value in ("absent", None, "video", [])],
    *[("shards", value) for value in ("absent", None, {}, "en", 3)],
    *[("languages", value) for value in ("absent", None, [], "en")],
    *[("languages.en", value) for value in (None, 3, [])],
    *[("languages.en.clips", value) for value in (None, "3", float("nan"), -1)],
    *[("build", value) for value in ("absent", None, [])],
    *[("rejected", value) for value in ("absent", None, [], 3)],
    *[("rejected.reason", value) for value in (None, -1, "3", 1.5)],
    *[("quantizer", value) for value in ("absent", 3, [])],
    *[("num_codebooks", value) for value in ("absent", 0, "2", float("nan"), HUGE)],
    *[("codebook_size", value) for value in (-4, "x", True)],
    *[("code_rate_hz", value) for value in (0, float("nan"), float("inf"), "25")],
    *[("format_version", value) for value in ("absent", None, 99, "1")],
    *[("sample_rate", value) for value in ("absent", None, 8000, float("nan"))],
]  # fmt: skip
SHARD = [
    *[("name", value)
      for value in ("absent", None, 3, "", "../x", "/x", "a//b", "a\0b", "x" * 9999)],
    *[(key, value) for key in ("num_clips", "num_bytes")
      for value in ("absent", None, "3", -1, 1.5, HUGE, True)],
    *[("seconds", value) for value in ("absent", None, "1", -1.0, float("nan"), float("inf"))],
    *[("sha256", value) for value in ("absent", None, 5)],
    *[("source_sha256", 3), ("language", ["en"]), ("colour", "blue"), ("num_bytes", 0)],
]  # fmt: skip


def use(corpus):
    """Plan, summarise and read a corpus as `gsv2 plan` and `gsv2 train` do."""
    source = SourceConfig(path=str(corpus))
    config = DataConfig(sources=[source], lanes=1, max_frames=400)
    plan = Plan(CorpusIndex.open(source), config, 0, ("audio",))
    summarise(plan)
    loader = iter(make_loader(plan))
    for _ in range(4):
        assert not next(loader).bad


def index(corpus):
    """Index a corpus as `index_shards` does."""
    index_corpus(corpus, ArchiveFormat(language="en"), overwrite=False)


def line_of(action, corpus):
    """Return the one line by which an action ends."""
    with pytest.raises((CorpusError, OSError)) as error:
        action(corpus)
    assert "\n" not in str(error.value)
    return str(error.value)


def told(corpus, *names):
    """Tell whether verify ends in one line, or lists problems, with all these names."""
    try:
        problems = verify_corpus(corpus, decode=True).problems
    except CorpusError as error:
        lines = [str(error)]
    else:
        lines = [f"{p.shard} {p.kind} {' '.join(p.examples)}" for p in problems]
    return any(all(name in line for name in names) for line in lines)


@pytest.fixture
def corpus(tiny_corpus, tmp_path):
    return Path(shutil.copytree(tiny_corpus.path, tmp_path / "c"))


def put(values, path, value):
    *folders, last = path.split(".")
    for name in folders:
        values = values.setdefault(name, {})
    if value == "absent":
        values.pop(last, None)
    else:
        values[last] = value


def edit_json(corpus, change):
    path = corpus / "corpus.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def assert_told_everywhere(corpus, *names):
    for action in (use, index):
        line = line_of(action, corpus)
        assert all(name in line for name in names), line
    assert told(corpus, *names)


@pytest.mark.parametrize(("key", "value"), TOP)
def test_a_damaged_key_of_corpus_json_is_named(corpus, key, value):
    edit_json(corpus, lambda values: put(values, key, value))
    shown = "format version" if key in ("format_version", "sample_rate") else key
    shown = key if value in ("absent", None) else shown
    assert_told_everywhere(corpus, "corpus.json", shown)


@pytest.mark.parametrize(("key", "value"), SHARD)
def test_a_damaged_shard_of_corpus_json_is_named_with_its_place(corpus, key, value):
    edit_json(corpus, lambda values: put(values["shards"][1], key, value))
    assert_told_everywhere(corpus, "corpus.json", f"shards[1].{key}")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b"null", b"3", b'"a"', b"[" * 9000, b"9" * 5000, b"\0" * 99,
     b'{"format_version": 1, "sample_rate": 32000, "shards": [3]}', b"PAR1"],
)  # fmt: skip
def test_a_corpus_json_that_is_something_else_is_named(corpus, content):
    (corpus / "corpus.json").write_bytes(content)
    assert_told_everywhere(corpus, "corpus.json")


def test_a_shard_that_is_listed_twice_is_named(corpus):
    edit_json(corpus, lambda values: values["shards"].append(values["shards"][0]))
    assert "lists shard en/clips-000000 twice" in line_of(use, corpus)
    assert told(corpus, "shard twice in corpus.json", "en/clips-000000")


def test_no_shards_at_all_are_named(corpus):
    edit_json(corpus, lambda values: values.update(shards=[]))
    assert "lists no shards" in line_of(use, corpus)


def edit_column(corpus, name, change, kind=None):
    path = corpus / INDEX
    table = pq.read_table(path)
    field = pa.field(name, kind or table.schema.field(name).type)
    values = pa.array(change(table[name].to_pylist()), field.type)
    pq.write_table(table.set_column(table.column_names.index(name), field, values), path)


def second(value):
    return lambda values: [values[0], value, *values[2:]]


NUMBERS = ["block", "duration_sec", "num_samples", "text_bytes"]
PLACES = [f"{m}_{part}" for m in ("audio", "json") for part in ("offset", "length", "crc32")]
NULLS = ["key", "speaker", "language", *NUMBERS]


@pytest.mark.parametrize("name", [*NULLS, *PLACES])
def test_a_missing_column_is_named(corpus, name):
    table = pq.read_table(corpus / INDEX)
    pq.write_table(table.drop_columns([name]), corpus / INDEX)
    line = line_of(use, corpus)
    assert INDEX in line
    assert name in line
    assert told(corpus, "en/clips-000000", "index lacks columns", name)


@pytest.mark.parametrize("name", [*NULLS, *PLACES])
def test_a_column_of_the_wrong_type_is_named(corpus, name):
    kind = pa.int64() if name in ("key", "speaker", "language") else pa.string()
    edit_column(corpus, name, lambda values: [7 if kind == pa.int64() else "x"] * len(values), kind)
    line = line_of(use, corpus)
    assert INDEX in line
    assert f"column {name} must hold" in line
    assert told(corpus, "en/clips-000000", "wrong type", name)


@pytest.mark.parametrize("name", NULLS)
def test_a_null_in_a_column_that_needs_values_is_named(corpus, name):
    edit_column(corpus, name, second(None))
    line = line_of(use, corpus)
    assert INDEX in line
    assert f"column {name} is null in row 1" in line
    assert told(corpus, "en/clips-000000", "null in the index", name)


@pytest.mark.parametrize(
    ("name", "value"),
    [*[(name, -1) for name in ("block", "num_samples", "text_bytes", *PLACES)],
     *[("duration_sec", value) for value in (-1.0, float("nan"), float("inf"), 1e300)],
     *[(name, 1 << 62) for name in ("num_samples", "audio_offset", "json_length", "audio_length")]],
)  # fmt: skip
def test_a_number_that_cannot_be_is_named(corpus, name, value):
    edit_column(corpus, name, second(value))
    line = line_of(use, corpus)
    assert INDEX in line
    assert "row 1" in line
    assert name in line
    if name != "block":
        assert told(corpus, "en/clips-000000")


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "half", "flipped", "folder"])
def test_an_index_that_is_no_parquet_file_is_named(corpus, damage):
    path = corpus / INDEX
    content = path.read_bytes()
    damaged = {
        "cut": content[:-9],
        "text": b"key,offset\na,1\n",
        "empty": b"",
        "half": content[: len(content) // 2],
        "flipped": content[:-200] + bytes(byte ^ 255 for byte in content[-200:-8]) + content[-8:],
    }
    path.unlink()
    path.mkdir() if damage == "folder" else path.write_bytes(damaged[damage])
    line = line_of(use, corpus)
    assert INDEX in line
    assert told(corpus, "en/clips-000000", "index is missing" if damage == "folder" else "index")


def test_rows_that_no_tar_can_hold_are_refused_before_they_are_read(corpus):
    table = pq.read_table(corpus / INDEX)
    many = pa.concat_tables([table] * 2000)
    pq.write_table(many, corpus / INDEX)
    assert "rows as corpus.json says" in line_of(use, corpus)
    edit_json(corpus, lambda values: values["shards"][0].update(num_clips=len(many)))
    assert "more than a tar of" in line_of(use, corpus)


@pytest.mark.parametrize(
    ("name", "value"), [("text_bytes", 99), ("speaker", "eve"), ("language", "fr")]
)
def test_an_index_that_differs_from_the_json_is_named_by_key(corpus, name, value):
    key = pq.read_table(corpus / INDEX)["key"][1].as_py()
    edit_column(corpus, name, second(value))
    assert told(corpus, "index differs from the JSON of its clip", f"{key}: {name} is {value!r}")
