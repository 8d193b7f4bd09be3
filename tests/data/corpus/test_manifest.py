import json

import pytest

from gsv2.data.corpus.manifest import (
    CorpusError,
    Manifest,
    ShardEntry,
    is_complete,
    read_manifest,
    write_manifest,
)

ENTRY = ShardEntry(name="en/a-000000", num_clips=2, seconds=1800.0, num_bytes=10, sha256="ab")


def test_a_manifest_reads_back_equal(tmp_path):
    manifest = Manifest(shards=(ENTRY,), languages={"en": {"clips": 2, "hours": 0.5}})
    assert not is_complete(tmp_path)
    write_manifest(manifest, tmp_path)
    assert is_complete(tmp_path)
    assert read_manifest(tmp_path) == manifest
    assert (manifest.num_clips, manifest.hours) == (2, 0.5)


def test_a_manifest_of_before_codes_had_a_size_reads(tmp_path):
    write_manifest(Manifest(shards=(ENTRY,), kind="codes", num_codebooks=2), tmp_path)
    path = tmp_path / "corpus.json"
    values = json.loads(path.read_text())
    del values["codebook_size"], values["code_rate_hz"]
    path.write_text(json.dumps(values))
    assert read_manifest(tmp_path).code_format == (2, None, None)


@pytest.mark.parametrize("key", ["num_codebooks", "codebook_size", "code_rate_hz"])
@pytest.mark.parametrize("value", [0, -1, True, "2", [2]])
def test_numbers_of_codes_that_cannot_be_are_refused_by_key(tmp_path, key, value):
    write_manifest(Manifest(shards=(ENTRY,), kind="codes"), tmp_path)
    path = tmp_path / "corpus.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(CorpusError, match=rf"corpus\.json: {key} must be"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "no corpus description"),
        ("{}", "no corpus description"),
        (json.dumps({"format_version": 99, "sample_rate": 32000}), "format version 1 .* has 99"),
        (json.dumps({"format_version": 1, "sample_rate": 8000}), "32000 Hz, .* 8000"),
    ],
)
def test_a_strange_manifest_is_one_clear_line(tmp_path, content, message):
    (tmp_path / "corpus.json").write_text(content)
    with pytest.raises(CorpusError, match=message) as error:
        read_manifest(tmp_path)
    assert "\n" not in str(error.value)


def test_an_unfinished_corpus_says_so(tmp_path):
    with pytest.raises(CorpusError, match="never finished"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "../a"),
        ("name", "/a"),
        ("name", 3),
        ("num_clips", -1),
        ("num_bytes", None),
        ("seconds", float("nan")),
        ("seconds", "1"),
        ("sha256", 5),
        ("num_clips", True),
    ],
)
def test_a_strange_shard_is_named_with_its_key(tmp_path, key, value):
    write_manifest(Manifest(shards=(ENTRY,)), tmp_path)
    values = json.loads((tmp_path / "corpus.json").read_text())
    values["shards"][0][key] = value
    (tmp_path / "corpus.json").write_text(json.dumps(values))
    with pytest.raises(CorpusError, match=rf"shards\[0\]\.{key} must be"):
        read_manifest(tmp_path)
