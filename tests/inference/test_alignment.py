"""Alignment of a whole corpus."""

import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from gsv2.cli import app
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError, read_manifest, write_manifest
from gsv2.data.stream.batch import BadClip
from gsv2.data.stream.reader import read_clips
from gsv2.inference.alignment import AlignmentReport, align_corpus
from gsv2.inference.clip_batches import SharedWork
from gsv2.models.aligner.align import align_texts
from gsv2.training.distributed.patient_ranks import PatientRanks
from tests.support.thread_ranks import run_ranks
from tests.support.tiny_aligner import save_aligner

CPU = torch.device("cpu")


@pytest.fixture
def parts(make_corpus, make_codes, tmp_path):
    """A corpus, its codes and an aligner; texts of about 50 characters for at least 50 frames."""
    corpus = make_corpus(tmp_path / "corpus", 8, seconds=(2.1, 3.0))
    codes = make_codes(corpus, tmp_path / "codes")
    manifest = read_manifest(codes)
    write_manifest(replace(manifest, code_rate_hz=25.0, codebook_size=1024), codes)
    save_aligner(tmp_path / "aligner.safetensors", manifest.quantizer)
    return corpus, codes, tmp_path / "aligner.safetensors"


def read(corpus, codes):
    index = CorpusIndex.open(SourceConfig(path=str(corpus), codes=str(codes)))
    return {clip.key: clip for clip in read_clips(index, ("codes", "align"))}


def test_every_clip_gets_the_alignment_that_it_has_alone(parts):
    corpus, codes, file = parts
    seen = []
    manifest, report = align_corpus(
        corpus, codes, file, CPU, SharedWork(progress=lambda *n: seen.append(n))
    )
    aligner = save_aligner(file, manifest.quantizer)
    assert manifest.aligner == aligner.fingerprint()
    assert seen[-1] == (8, 8)
    assert (len(report.scores), report.failures) == (8, {})
    for key, clip in read(corpus, codes).items():
        array = torch.from_numpy(clip.codes.astype(np.int64))[None]
        (alone,) = align_texts(aligner, array, torch.tensor([array.shape[2]]), [clip.text])
        assert np.array_equal(clip.alignment, alone.characters)
        assert report.scores[key] == pytest.approx(alone.score, rel=1e-4)


def test_aligned_codes_are_left_and_another_aligner_aligns_anew(parts):
    corpus, codes, file = parts
    made, _ = align_corpus(corpus, codes, file, CPU)
    stamp = (codes / "corpus.json").stat().st_mtime_ns
    again, report = align_corpus(corpus, codes, file, CPU)
    assert (again, report.scores) == (made, {})
    assert (codes / "corpus.json").stat().st_mtime_ns == stamp
    other = save_aligner(file, made.quantizer, seed=1)
    assert align_corpus(corpus, codes, file, CPU)[0].aligner == other.fingerprint()


def test_a_clip_that_cannot_be_aligned_is_named_and_has_no_alignment(
    make_corpus, make_codes, tmp_path, caplog
):
    corpus = make_corpus(tmp_path / "corpus", 4, seconds=(0.5, 0.6))  # 50 characters, 15 frames
    codes = make_codes(corpus, tmp_path / "codes")
    file = tmp_path / "aligner.safetensors"
    save_aligner(file, read_manifest(codes).quantizer)
    with caplog.at_level(logging.WARNING, logger="gsv2.inference.alignment"):
        _, report = align_corpus(corpus, codes, file, CPU)
    assert "needs at least" in next(iter(report.failures.values()))
    assert len(caplog.records) == len(report.failures) > 0
    missing = {key for key, clip in read(corpus, codes).items() if hasattr(clip, "reason")}
    assert missing == set(report.failures)


@pytest.mark.parametrize("deviations", [None, -1.0])
def test_ranks_share_the_shards_and_write_what_one_writes(
    make_corpus, make_codes, tmp_path, deviations
):
    """With all clips, and with those alone whose score is above a limit over all shards."""
    corpus = make_corpus(tmp_path / "corpus", 16, num_speakers=8, seconds=(2.1, 3.0), shard_mb=0.1)
    one = make_codes(corpus, tmp_path / "one")
    manifest = read_manifest(one)
    assert len(manifest.shards) >= 4
    write_manifest(replace(manifest, code_rate_hz=25.0, codebook_size=1024), one)
    many = shutil.copytree(one, tmp_path / "many")
    save_aligner(tmp_path / "aligner.safetensors", manifest.quantizer)

    def align(codes, ranks=None):
        return align_corpus(
            corpus, codes, tmp_path / "aligner.safetensors", CPU,
            SharedWork(ranks=ranks), outlier_deviations=deviations,
        )  # fmt: skip

    made, report = align(one)
    for of_rank in run_ranks(3, lambda ranks: align(many, PatientRanks(ranks))):
        assert of_rank == (made, report)
    num_left_out = 0 if deviations is None else len(report.outliers(deviations))
    aligned = [clip for clip in read(corpus, one).values() if not isinstance(clip, BadClip)]
    assert len(aligned) == 16 - num_left_out
    assert (num_left_out > 0) == (deviations is not None)
    contents = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}
        for folder in (one, many)
    ]
    assert contents[0] == contents[1]


def test_ranks_go_on_after_shards_that_other_numbers_of_ranks_have_made(
    make_corpus, make_codes, tmp_path, monkeypatch
):
    corpus = make_corpus(tmp_path / "corpus", 16, num_speakers=8, seconds=(2.1, 3.0), shard_mb=0.1)
    codes = make_codes(corpus, tmp_path / "codes")
    manifest = read_manifest(codes)
    file = tmp_path / "aligner.safetensors"
    save_aligner(file, manifest.quantizer)
    aligned = []

    def counting(aligner, codes, lengths, texts):
        aligned.extend(texts)
        if is_failing and len(aligned) > 8:
            raise OSError("the disk is full")
        return align_texts(aligner, codes, lengths, texts)

    monkeypatch.setattr("gsv2.inference.alignment.align_texts", counting)
    is_failing = True
    failures = run_ranks(2, lambda ranks: align_corpus(
        corpus, codes, file, CPU, SharedWork(ranks=PatientRanks(ranks))
    ))  # fmt: skip
    assert [str(failure) for failure in failures] == ["the disk is full"] * 2
    assert read_manifest(codes).aligner is None
    aligned.clear()
    is_failing = False
    done, report = align_corpus(corpus, codes, file, CPU)
    assert done.aligner is not None
    assert 0 < len(aligned) == len(report.scores) < 16


def test_an_aligner_of_other_codes_is_refused(parts):
    corpus, codes, file = parts
    save_aligner(file, "another")
    with pytest.raises(CorpusError, match="trained on codes of quantizer another"):
        align_corpus(corpus, codes, file, CPU)


def test_outliers_are_far_below_the_median_and_left_out_on_request(parts, monkeypatch):
    report = AlignmentReport(scores={f"k{i}": -1.0 - 0.01 * i for i in range(20)} | {"bad": -5.0})
    assert set(report.outliers(6.0)) == {"bad"}
    assert AlignmentReport().outliers(6.0) == {}
    corpus, codes, file = parts
    monkeypatch.setattr(AlignmentReport, "outliers", lambda self, deviations: {"clip0002": -9.0})
    align_corpus(corpus, codes, file, CPU, outlier_deviations=6.0)
    bad = [key for key, clip in read(corpus, codes).items() if hasattr(clip, "reason")]
    assert bad == ["clip0002"]


def test_the_command_aligns_and_tells_when_words_are_spoken(parts, tmp_path):
    corpus, codes, file = parts
    shutil.copytree(codes, tmp_path / "bare")
    grid = tmp_path / "times.TextGrid"
    options = ["--codes", str(codes), "--aligner", str(file), "--clip", "clip0000"]
    result = CliRunner().invoke(app, ["align", str(corpus), *options, "--out", str(grid)])
    assert result.exit_code == 0, result.output
    assert "8 aligned in this call" in result.output
    assert 'text = "quick"' in grid.read_text()
    shown = CliRunner().invoke(app, ["align", str(corpus), *options[:2], *options[4:]])
    assert '"text": "quick"' in shown.output
    none = CliRunner().invoke(
        app, ["align", str(corpus), "--codes", str(tmp_path / "bare"), "--clip", "clip0000"]
    )
    assert none.exit_code == 1
    assert "has no times" in none.output
