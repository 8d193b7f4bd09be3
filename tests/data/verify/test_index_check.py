import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gsv2.data.corpus.index_columns import ARCHIVE_SCHEMA, CLIP_SCHEMA, CODES_SCHEMA
from gsv2.data.corpus.manifest import ShardEntry
from gsv2.data.verify.findings import Findings
from gsv2.data.verify.index_check import check_rows, index_totals, read_index

ENTRY = ShardEntry(name="a", num_clips=4, seconds=10.0, num_bytes=0, sha256="")


def table(**changes):
    columns = {
        "key": ["a", "b", "c", "d"],
        "speaker": ["ann", "", "bob", "ann"],
        "language": ["en", "en", "de", "en"],
        "duration_sec": [1.0, 2.0, 3.0, 4.0],
        "num_samples": [32_000, 64_000, 96_000, 128_000],
        "audio_offset": [0, 1, 2, 3],
        "json_offset": [4, 5, 6, 7],
    } | changes
    full = {name: columns.get(name, [None] * 4) for name in CLIP_SCHEMA.names}
    return pa.Table.from_pydict(full, schema=CLIP_SCHEMA)


def found(read, kind="audio"):
    findings = Findings("a")
    check_rows(read, ENTRY, kind, findings)
    return {problem.kind: (problem.count, problem.examples) for problem in findings}


def test_rows_that_fit_are_no_problem():
    assert found(table()) == {}
    assert index_totals(table()) == ({"en": (3, 7.0), "de": (1, 3.0)}, {"ann", "bob"})


@pytest.mark.parametrize(
    "change",
    [
        {"duration_sec": [1.0, -2.0, 3.0, 4.0]},
        {"duration_sec": [1.0, float("nan"), 3.0, 4.0]},
        {"duration_sec": [1.0, None, 3.0, 4.0]},
        {"num_samples": [32_000, 64_002, 96_000, 128_000]},
        {"num_samples": [32_000, None, 96_000, 128_000]},
        {"audio_offset": [0, None, 2, 3]},
        {"json_offset": [4, None, 6, 7]},
    ],
)
def test_rows_that_cannot_be_are_named(change):
    problems = found(table(**change))
    assert problems["index row lacks audio, transcript or duration"] == (1, ("b",))


def test_a_text_in_the_index_replaces_the_json():
    texts = table(json_offset=[4, None, 6, 7], text_bytes=[9, 2, 9, 9]).append_column(
        "text", pa.array([None, "Hi", None, None], pa.string())
    )
    assert found(texts) == {}


def test_rows_are_compared_with_corpus_json():
    problems = found(table(key=["a", "b", "a", "d"]).slice(0, 3))
    assert problems == {
        "clips differ from corpus.json": (1, ("3, not 4",)),
        "seconds differ from corpus.json": (1, ("6.0, not 10.0",)),
        "key twice in the index": (1, ("a",)),
    }


def test_an_index_is_read_with_and_without_the_optional_column(tmp_path):
    for schema in (CLIP_SCHEMA, ARCHIVE_SCHEMA):
        pq.write_table(schema.empty_table(), tmp_path / "x.parquet")
        read = read_index(tmp_path / "x.parquet", "audio", Findings("a"))
        assert read.schema.equals(schema)


def test_an_index_that_cannot_be_used_is_told(tmp_path):
    findings = Findings("a")
    path = tmp_path / "x.parquet"
    assert read_index(path, "audio", findings) is None
    path.write_bytes(b"PAR1 no")
    assert read_index(path, "audio", findings) is None
    pq.write_table(CODES_SCHEMA.empty_table().drop_columns(["key"]), path)
    assert read_index(path, "codes", findings) is None
    problems = list(findings)
    assert [p.kind for p in problems] == [
        "index is missing",
        "index cannot be read",
        "index lacks columns",
    ]
    assert problems[2].examples == ("key",)
