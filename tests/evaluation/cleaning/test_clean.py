"""Cleaning of a corpus in which some texts were swapped and some speakers mixed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError
from gsv2.data.plan.table import ClipTable
from gsv2.evaluation.cleaning.clean import LIST_NAME, CleaningModels, clean_corpus
from gsv2.evaluation.cleaning.doubtful_texts import WRONG_TEXT
from gsv2.evaluation.cleaning.doubtful_voices import OTHER_VOICE
from gsv2.evaluation.voice_encoder import VoiceEncoder
from gsv2.inference.clip_batches import SharedWork
from gsv2.training.distributed.patient_ranks import PatientRanks
from tests.support.made_up_judges import PitchEncoder
from tests.support.mislabelled_corpus import MislabelledCorpus, make_mislabelled
from tests.support.thread_ranks import run_ranks

pytestmark = pytest.mark.long

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> MislabelledCorpus:
    return make_mislabelled(tmp_path_factory.mktemp("mislabelled"))


@pytest.fixture(scope="module")
def models(made) -> CleaningModels:
    return CleaningModels(gpt=made.gpt, encoder=VoiceEncoder())


def source(made: MislabelledCorpus, **fields) -> SourceConfig:
    return SourceConfig(path=str(made.path), codes=str(made.codes), **fields)


def keys(result, reason: str) -> set[str]:
    return {clip.key for clip in result.clips if clip.reason == reason}


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_swapped_texts_and_mixed_speakers_are_found_and_left_out_of_the_plan(
    made, models, tmp_path
):
    result = clean_corpus(source(made), models, tmp_path, CPU)
    texts, voices = keys(result, WRONG_TEXT), keys(result, OTHER_VOICE)
    assert texts == made.swapped
    assert voices == made.mixed
    for clip in result.clips:
        assert clip.measured <= clip.threshold
        assert bool(clip.other) == (clip.reason == OTHER_VOICE)
    lines = (tmp_path / LIST_NAME).read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [asdict(clip) for clip in result.clips]

    before = files(made.path)
    index = CorpusIndex.open(source(made, leave_out=str(tmp_path / LIST_NAME)))
    table = ClipTable(index, DataConfig(sources=[], max_tokens=200), ("codes",))
    read = {index.key(int(row)) for s in index.shards for row in table.shard(s.number).rows}
    assert read == {f"clip{n}" for n in range(96)} - texts - voices
    assert files(made.path) == before


def test_ranks_find_what_one_finds_and_measure_no_shard_twice(made, tmp_path):
    encoder = PitchEncoder()
    alone = clean_corpus(source(made), CleaningModels(encoder=encoder), tmp_path / "one", CPU)
    assert encoder.calls == 96
    assert (
        clean_corpus(source(made), CleaningModels(encoder=encoder), tmp_path / "one", CPU) == alone
    )
    assert encoder.calls == 96, "what is measured is not measured again"

    def clean(ranks):
        models = CleaningModels(encoder=encoder)
        return clean_corpus(
            source(made), models, tmp_path / "two", CPU, SharedWork(ranks=PatientRanks(ranks))
        )

    assert run_ranks(2, clean) == [alone, alone]
    assert encoder.calls == 2 * 96
    assert files(tmp_path / "two") == files(tmp_path / "one")


def test_a_call_that_was_ended_goes_on_after_the_shards_that_are_measured(made, tmp_path):
    class Failing(PitchEncoder):
        def embed(self, wave):
            if self.calls == 60:
                raise OSError("the disk is full")
            return super().embed(wave)

    with pytest.raises(OSError, match="the disk is full"):
        clean_corpus(source(made), CleaningModels(encoder=Failing()), tmp_path, CPU)
    measured = sum(pq.read_metadata(file).num_rows for file in tmp_path.rglob("*.parquet"))
    assert 0 < measured <= 60
    encoder = PitchEncoder()
    clean_corpus(source(made), CleaningModels(encoder=encoder), tmp_path, CPU)
    assert encoder.calls == 96 - measured
    other = PitchEncoder(identity="pitch 2")
    clean_corpus(source(made), CleaningModels(encoder=other), tmp_path, CPU)
    assert other.calls == 96, "figures of another encoder are no figures of this one"


def test_codes_that_are_missing_or_of_another_quantizer_are_refused(made, tiny_corpus, tmp_path):
    models = CleaningModels(gpt=made.gpt)
    with pytest.raises(CorpusError, match=r"trained on codes of quantizer .* are of 0000"):
        clean_corpus(tiny_corpus.source_with_codes, models, tmp_path, CPU)
    with pytest.raises(CorpusError, match="name them by --codes"):
        clean_corpus(SourceConfig(path=str(made.path)), models, tmp_path, CPU)
    with pytest.raises(ValueError, match="nobody judges"):
        CleaningModels()
