"""Each fault of a shard is found by name."""

import io
import shutil
import tarfile
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gsv2.data.corpus.manifest import read_manifest
from gsv2.data.verify.shard_check import ShardJob, check_shard

SEVERAL = {"SHA-256 differs from corpus.json", "bytes differ from corpus.json"}


@pytest.fixture
def job(tiny_corpus, tmp_path):
    """The first shard of a copy of the tiny corpus."""
    shutil.copytree(tiny_corpus.path, tmp_path / "c")
    return ShardJob(tmp_path / "c", read_manifest(tmp_path / "c").shards[0], "audio", True, None)


def tar_of(job):
    return job.root / f"{job.entry.name}.tar"


def index_of(job):
    return job.root / f"{job.entry.name}.parquet"


def found(job):
    """Return kind -> (count, examples) of what is wrong."""
    return {p.kind: (p.count, p.examples) for p in check_shard(job).problems}


def damage(job, place, change):
    content = bytearray(tar_of(job).read_bytes())
    content[place] = change(content[place])
    tar_of(job).write_bytes(content)


def edit(job, column, change):
    """Replace the values of a column of the index by those of a function."""
    table = pq.read_table(index_of(job))
    place, field = table.schema.get_field_index(column), table.schema.field(column)
    values = change(table[column].to_pylist())
    pq.write_table(table.set_column(place, field, pa.array(values, field.type)), index_of(job))


def first(job, column):
    return pq.read_table(index_of(job))[column][0].as_py()


def test_a_whole_shard_has_no_problem_and_knows_its_totals(job, tiny_corpus):
    report = check_shard(job)
    assert report.problems == []
    assert report.languages == {"en": (job.entry.num_clips, pytest.approx(job.entry.seconds))}
    assert report.speakers == {"speaker0", "speaker2"}
    assert len(report.key_hashes) == job.entry.num_clips
    manifest = read_manifest(tiny_corpus.codes)
    codes = ShardJob(tiny_corpus.codes, manifest.shards[0], "codes", True, manifest.num_codebooks)
    assert check_shard(codes).problems == []


def test_missing_and_unreadable_files(job):
    tar_of(job).unlink()
    assert set(found(job)) == {"tar is missing"}
    index_of(job).write_bytes(b"PAR1 no")
    assert set(found(job)) == {"tar is missing", "index cannot be read"}
    index_of(job).unlink()
    assert set(found(job)) == {"tar is missing", "index is missing"}


def test_a_tar_cut_between_two_members(job):
    """`tarfile` and webdataset take such a tar for a whole one."""
    table = pq.read_table(index_of(job))
    last = table["json_offset"][2].as_py() + table["json_length"][2].as_py()
    cut = last + -last % 512
    tar_of(job).write_bytes(tar_of(job).read_bytes()[:cut])
    with tarfile.open(tar_of(job)) as tar:
        assert len(tar.getmembers()) == 6
    problems = found(job)
    assert problems["tar is damaged"] == (1, (f"ends without its end mark at byte {cut}",))
    lost = 2 * (table.num_rows - 3)
    assert problems["tar ends before the member"][0] == lost
    assert table["key"][3].as_py() in problems["tar ends before the member"][1][0]
    assert set(problems) >= SEVERAL


def test_a_tar_cut_inside_a_member(job):
    cut = first(job, "audio_offset") + 100
    tar_of(job).write_bytes(tar_of(job).read_bytes()[:cut])
    assert found(job)["tar is damaged"][1] == (f"ends inside a member at byte {cut}",)


def test_an_empty_tar(job):
    tar_of(job).write_bytes(b"")
    problems = found(job)
    assert problems["tar is damaged"][1] == ("is empty at byte 0",)
    assert problems["tar ends before the member"][0] == 2 * job.entry.num_clips


def test_a_flipped_bit_in_a_content(job):
    damage(job, first(job, "audio_offset") + 1000, lambda byte: byte ^ 1)
    problems = found(job)
    example = f"{first(job, 'key')}: audio"
    assert problems.pop("content differs from its checksum") == (1, (example,))
    assert set(problems) == {"SHA-256 differs from corpus.json"}


def test_a_flipped_bit_in_a_header(job):
    damage(job, first(job, "json_offset") - 500, lambda byte: byte ^ 1)
    place = first(job, "json_offset") - 512
    problems = found(job)
    told = f"has no tar header (bad checksum) at byte {place}"
    assert problems.pop("tar is damaged") == (1, (told,))
    assert set(problems) == {"SHA-256 differs from corpus.json"}  # all contents are found behind it


def test_flipped_bits_in_a_header_and_in_a_content_behind_it(job):
    damage(job, first(job, "audio_offset") - 500, lambda byte: byte ^ 1)
    damage(job, first(job, "json_offset"), lambda byte: byte ^ 1)
    problems = found(job)
    assert problems["content differs from its checksum"] == (1, (f"{first(job, 'key')}: json",))
    assert "tar is damaged" in problems


def test_a_flipped_bit_in_the_padding_or_the_rest(job):
    damage(job, first(job, "json_offset") + first(job, "json_length"), lambda byte: byte ^ 1)
    assert set(found(job)) == {"SHA-256 differs from corpus.json"}


def test_a_member_with_another_name(job):
    """A header that is valid, but of another clip."""
    content = bytearray(tar_of(job).read_bytes())
    start = first(job, "audio_offset") - 512
    info = tarfile.TarInfo.frombuf(bytes(content[start : start + 512]), "utf-8", "strict")
    info.name = "stranger.flac"
    content[start : start + 512] = info.tobuf(tarfile.USTAR_FORMAT)
    tar_of(job).write_bytes(content)
    example = f"{first(job, 'key')}: stranger.flac"
    assert found(job)["member has another name"] == (1, (example,))


def rewrite(job, *drop, twice=()):
    """Write the tar again without some members, and with some twice."""
    with tarfile.open(tar_of(job)) as tar:
        files = [(info, tar.extractfile(info).read()) for info in tar.getmembers()]
    with tarfile.open(tar_of(job), "w") as tar:
        for info, content in files + [file for file in files if file[0].name in twice]:
            if info.name not in drop:
                tar.addfile(info, io.BytesIO(content))


def test_a_missing_member(job):
    last = pq.read_table(index_of(job))["key"][-1].as_py()
    rewrite(job, f"{last}.json")
    problems = found(job)
    assert problems["index does not fit its tar"] == (1, (f"{last}: no json at its place",))


def test_a_duplicate_key(job):
    key = first(job, "key")
    rewrite(job, twice=(f"{key}.flac", f"{key}.json"))
    problems = found(job)
    assert problems["member twice in the tar"] == (2, (f"{key}.flac", f"{key}.json"))
    edit(job, "key", lambda keys: [keys[1], *keys[1:]])
    assert found(job)["key twice in the index"][0] == 1


def test_a_key_in_two_places(job):
    """Readers of WebDatasets would make two clips of it, though offsets find it."""
    table = pq.read_table(index_of(job))
    a, b = table["key"].to_pylist()[:2]
    content = bytearray(tar_of(job).read_bytes())
    starts = [
        table[f"{m}_offset"][r].as_py() - 512 for r, m in ((0, "audio"), (0, "json"), (1, "audio"))
    ]
    end = table["json_offset"][1].as_py() - 512
    parts = [content[s:e] for s, e in zip(starts, [*starts[1:], end], strict=True)]
    content[starts[0] : end] = parts[0] + parts[2] + parts[1]
    tar_of(job).write_bytes(content)
    problems = found(job)
    assert problems["key in two places of the tar"] == (2, (a, b))


def test_a_clip_that_the_index_lacks(job):
    table = pq.read_table(index_of(job))
    pq.write_table(table.slice(1), index_of(job))
    problems = found(job)
    assert problems["clip is not in the index"] == (2, (table["key"][0].as_py(),) * 2)
    assert problems["clips differ from corpus.json"][1] == (
        f"{table.num_rows - 1}, not {table.num_rows}",
    )
    assert "seconds differ from corpus.json" in problems


def test_a_tar_newer_than_its_index_and_an_index_newer_than_its_tar(job, tmp_path, make_corpus):
    other = make_corpus(tmp_path / "other", seed=1)
    old = tar_of(job).read_bytes()
    shutil.copy(other / f"{job.entry.name}.tar", tar_of(job))
    assert "index does not fit its tar" in found(job)
    tar_of(job).write_bytes(old)
    assert found(job) == {}
    shutil.copy(other / f"{job.entry.name}.parquet", index_of(job))
    problems = found(job)
    assert "index does not fit its tar" in problems
    assert "SHA-256 differs from corpus.json" not in problems


def test_a_wrong_line_of_corpus_json(job):
    entry = replace(job.entry, num_clips=99, seconds=1.0, num_bytes=1, sha256="f")
    assert set(found(job._replace(entry=entry))) == SEVERAL | {
        "clips differ from corpus.json",
        "seconds differ from corpus.json",
    }
