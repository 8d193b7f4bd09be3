import json

import numpy as np
import pytest
import soundfile

from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.corpus.manifest import CorpusError
from gsv2.quickstart import demo_corpus
from gsv2.quickstart.demo_corpus import demo_clips, make_demo_corpus
from gsv2.quickstart.demo_plan import DemoPlan, plan_demo


@pytest.fixture
def small(monkeypatch):
    """Plan a few clips of each split only."""

    def plan(seed, minutes):
        whole = plan_demo(seed, minutes)
        return DemoPlan(train=whole.train[::39], heldout=whole.heldout[::15])

    monkeypatch.setattr(demo_corpus, "plan_demo", plan)


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_seed_decides_every_byte(small, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_demo_corpus(tmp_path / name, seed=seed, minutes=9)
    a, b, c = (files(tmp_path / name) for name in "abc")
    assert a == b
    assert a != c


def test_both_corpora_describe_themselves(small, tmp_path):
    train, heldout = make_demo_corpus(tmp_path, minutes=9)
    assert train.num_clips == 10
    assert heldout.num_clips == 5
    assert not train.rejected
    described = json.loads((tmp_path / "train" / "corpus.json").read_text())
    assert described["build"]["minutes"] == 9.0


def test_a_finished_corpus_is_reused_and_another_one_replaced(small, tmp_path, monkeypatch):
    make_demo_corpus(tmp_path, seed=0, minutes=9)
    spoken = []
    monkeypatch.setattr(
        demo_corpus, "demo_clips", lambda *a: (spoken.append(c.key) or c for c in demo_clips(*a))
    )
    make_demo_corpus(tmp_path, seed=0, minutes=9)
    assert spoken == []
    make_demo_corpus(tmp_path, seed=1, minutes=9)
    assert len(spoken) == 15


def test_an_interrupted_corpus_is_made_again(small, tmp_path, monkeypatch):
    def break_off(utterances, seed):
        yield next(demo_clips(utterances, seed))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(demo_corpus, "demo_clips", break_off)
        with pytest.raises(KeyboardInterrupt):
            make_demo_corpus(tmp_path, minutes=9)
    assert make_demo_corpus(tmp_path, minutes=9).train.num_clips == 10


def test_progress_ends_at_the_total(small, tmp_path):
    calls = []
    make_demo_corpus(tmp_path, minutes=9, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (15, 15)
    assert calls == sorted(calls)


def test_other_folders_are_never_replaced(small, tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "precious.txt").write_text("mine")
    with pytest.raises(CorpusError, match="is not a corpus"):
        make_demo_corpus(tmp_path, minutes=9)
    assert (tmp_path / "train" / "precious.txt").read_text() == "mine"


def test_clips_carry_text_language_and_speaker():
    utterance = plan_demo(0, 9).heldout[0]
    (clip,) = demo_clips([utterance], seed=0)
    assert (clip.text, clip.language) == (utterance.text, "en")
    assert clip.speaker == utterance.speaker
    assert clip.wave.dtype == np.float32


def test_shards_hold_playable_audio(small, tmp_path):
    import tarfile

    make_demo_corpus(tmp_path, minutes=9)
    (tar, *_) = sorted((tmp_path / "train").rglob("*.tar"))
    with tarfile.open(tar) as opened:
        member = next(m for m in opened if m.name.endswith(".flac"))
        wave, rate = soundfile.read(opened.extractfile(member))
    assert rate == SAMPLE_RATE
    assert len(wave) > SAMPLE_RATE
