import sys

import pytest

from gsv2.evaluation.judge_names import load_judges
from gsv2.evaluation.wavlm import WavLM
from gsv2.evaluation.whisper import Whisper
from tests.support.tiny_judges import save_tiny_wavlm, save_tiny_whisper


def test_folders_become_judges(tmp_path):
    whisper = save_tiny_whisper(tmp_path / "tiny")
    wavlm = save_tiny_wavlm(tmp_path / "voices")
    judges = load_judges([f"whisper:{whisper}"], [f"wavlm:{wavlm}", "resemblyzer"])
    assert isinstance(judges.recognizers[0], Whisper)
    assert isinstance(judges.encoders[0], WavLM)
    assert [judge.name for judge in judges.encoders] == ["voices", "resemblyzer"]
    assert not judges.notes


def test_a_judge_that_is_not_installed_is_a_note_beside_the_others(monkeypatch):
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    judges = load_judges()
    assert not judges.recognizers
    assert [judge.name for judge in judges.encoders] == ["resemblyzer"]
    (note,) = judges.notes
    assert note == "no judge pocketsphinx: it is not installed (pip install 'gsv2[judges]')"


def test_a_vocabulary_is_that_of_the_english_sentences_and_names_what_it_lacks():
    pytest.importorskip("pocketsphinx")
    judges = load_judges(["pocketsphinx:vocabulary"], [], english=["Anna met Xyzzyx."])
    assert judges.recognizers[0].name == "pocketsphinx-vocabulary"
    assert judges.notes == [
        "pocketsphinx:vocabulary does not know how these words are said: xyzzyx"
    ]


@pytest.mark.parametrize(
    ("recognizers", "encoders", "message"),
    [
        (["whisper"], [], "a recogniser must be whisper:FOLDER, .* but is 'whisper'"),
        (["pocketsphinx:nowhere.jsgf"], [], "grammar nowhere.jsgf of .* does not exist"),
        ([], ["wavlm"], "a speaker encoder must be resemblyzer or wavlm:FOLDER, but is 'wavlm'"),
        ([], ["resemblyzer", "resemblyzer"], "names of their own"),
        (["whisper:nowhere"], [], "nowhere must be a folder with a pretrained model"),
    ],
)
def test_judges_that_cannot_be_are_refused(recognizers, encoders, message):
    with pytest.raises(ValueError, match=message):
        load_judges(recognizers, encoders)
