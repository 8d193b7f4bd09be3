"""Whole evaluations of an untrained bundle."""

import json
import threading
from dataclasses import replace

import pytest
import torch

from gsv2.evaluation.estimates import estimate_ratio
from gsv2.evaluation.evaluate import evaluate_bundle
from gsv2.evaluation.judges import Judges
from gsv2.evaluation.spoken_errors import count_spoken_errors
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.synthesizer import Synthesizer
from gsv2.models.aligner.reading_errors import count_errors
from gsv2.text.normalize import TextError
from gsv2.training import threads
from tests.support.html_page import Page
from tests.support.made_up_judges import EchoRecognizer, PitchEncoder
from tests.support.thread_ranks import run_ranks

pytestmark = pytest.mark.long


def judges(**options) -> Judges:
    return Judges(recognizers=[EchoRecognizer(**options)], encoders=[PitchEncoder()])


@pytest.fixture(scope="module")
def evaluated(pointer_bundle, make_sentences, tmp_path_factory):
    """The folder and the report of six sentences."""
    out = tmp_path_factory.mktemp("out")
    return out, evaluate_bundle(pointer_bundle, make_sentences(6), out, judges=judges())


def test_it_computes_on_as_many_threads_as_the_machine_has_to_spare(
    pointer_bundle, make_sentences, tmp_path, monkeypatch
):
    """Threads that spin on a busy machine made a sentence take 90 s in place of 9."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "num_cores", lambda: 4)
    times = {1: 3.0, 2: 1.0, 4: 2.0}
    monkeypatch.setattr(threads, "measure_threads", lambda *_: times)
    usual, during = torch.get_num_threads(), []

    class Watched(list):
        def __getitem__(self, place):
            during.append(torch.get_num_threads())
            return super().__getitem__(place)

    evaluate_bundle(pointer_bundle, Watched(make_sentences(1)), tmp_path)
    assert 2 in during
    assert torch.get_num_threads() == usual


def figures(out):
    return json.loads((out / "evaluation.json").read_text())["figures"]


def without_time(tree):
    """Figures but for how long the machine took."""
    return {
        scope: {k: v for k, v in f.items() if k != "real_time_factor"} for scope, f in tree.items()
    }


def test_errors_are_those_of_what_the_judges_heard(evaluated):
    out, report = evaluated
    rows = json.loads((out / "evaluation.json").read_text())["sentences"]
    heard = [row for row in rows if "echo" in row["readings"]]
    assert [row["language"] for row in heard] == ["en"] * 4
    counted = [
        count_spoken_errors(r["text"], r["readings"]["echo"]["generated"], "en") for r in heard
    ]
    assert report.figure("wer/echo") == estimate_ratio([c.words for c in counted])
    assert report.figure("wer/echo").value == pytest.approx(1 / 4)
    assert report.figure("wer/echo", scope="zh") is None
    read = [(row["text"], row["readings"]["aligner"]["recording"]) for row in rows]
    expected = sum(count_errors([t], [r]) for t, r in read) / sum(len(t) for t, _ in read)
    assert report.figure("char_errors", "recording").value == pytest.approx(expected)


def test_every_figure_has_its_recordings_and_its_languages(evaluated):
    out, report = evaluated
    assert set(report.figures) == {"all", "median", "en", "zh"}
    for name in ("char_errors", "char_errors_of_sound", "rate", "own_voice/pitch"):
        for source in ("generated", "recording", "difference"):
            assert report.figure(name, source).num_sentences == 6, name
    assert report.figure("mel_l1", "resynthesis").value > 0
    assert report.figure("unended").value == 0
    assert report.figure("own_voice/pitch", "recording").value == 1
    pitches = report.figure("pitch_hz", "recording", "zh").value
    assert pitches == pytest.approx(220, rel=0.05)
    assert figures(out)["zh"]["rate"]["recording"]["num_sentences"] == 2
    assert report.notes[0] == "echo does not know the language zh"
    assert "the aligner chose each sentence among 8" in report.notes[1]


def test_the_page_is_whole_and_loads_nothing(evaluated):
    out, _ = evaluated
    page = Page((out / "index.html").read_text())
    assert all(source.startswith("data:") for source in page.sources)
    assert {anchor.removeprefix("#") for anchor in page.anchors} <= set(page.ids)
    kinds = [source.partition(";")[0] for source in page.sources]
    assert kinds.count("data:audio/flac") == 6 * 4  # prompt, speech, recording, through codes
    assert "今天是第2个好天气。" in page.text
    assert "echo does not know the language zh" in page.text


def test_what_is_finished_is_not_done_again(evaluated, pointer_bundle, make_sentences, monkeypatch):
    out, report = evaluated

    def fail(*_, **__):
        raise AssertionError("was spoken again")

    monkeypatch.setattr(Synthesizer, "synthesize", fail)
    again = judges()
    found = evaluate_bundle(pointer_bundle, make_sentences(6), out, judges=again)
    assert found.figures == report.figures
    assert again.recognizers[0].calls == again.encoders[0].calls == 0
    another = judges(identity="echo 2", heard="")
    judged = evaluate_bundle(pointer_bundle, make_sentences(6), out, judges=another)
    assert judged.figure("wer/echo").value == 1
    assert another.recognizers[0].calls == 4 * 3  # English ones; speech, through codes, recording
    assert another.encoders[0].calls == 0


def test_an_evaluation_that_was_ended_goes_on_to_the_same_figures(
    evaluated, pointer_bundle, make_sentences, tmp_path
):
    _, report = evaluated

    class Ended(list):
        def __getitem__(self, place):
            if place == 3:
                raise KeyboardInterrupt
            return super().__getitem__(place)

    with pytest.raises(KeyboardInterrupt):
        evaluate_bundle(pointer_bundle, Ended(make_sentences(6)), tmp_path, judges=judges())
    assert len(list((tmp_path / "sentences").glob("*.json"))) == 3
    found = evaluate_bundle(pointer_bundle, make_sentences(6), tmp_path, judges=judges())
    assert without_time(found.figures) == without_time(report.figures)


def test_another_seed_or_text_is_spoken_anew(evaluated, pointer_bundle, make_sentences, tmp_path):
    one = evaluate_bundle(pointer_bundle, make_sentences(1), tmp_path)
    sound = (tmp_path / "sentences" / "sentence_0.generated.wav").read_bytes()
    evaluate_bundle(pointer_bundle, make_sentences(1), tmp_path, sampling=SamplingConfig(seed=1))
    assert (tmp_path / "sentences" / "sentence_0.generated.wav").read_bytes() != sound
    other = [replace(make_sentences(1)[0], text="Something else.")]
    assert evaluate_bundle(pointer_bundle, other, tmp_path).results[0].text != one.results[0].text


@pytest.fixture
def one_speaks_at_a_time(monkeypatch):
    """Ranks that are threads share torch's random numbers; processes do not."""
    lock = threading.RLock()
    for name in ("synthesize", "decode"):
        whole = getattr(Synthesizer, name)

        def alone(*arguments, _whole=whole, **options):
            with lock:
                return _whole(*arguments, **options)

        monkeypatch.setattr(Synthesizer, name, alone)


@pytest.mark.usefixtures("one_speaks_at_a_time")
def test_two_ranks_find_what_one_does(evaluated, pointer_bundle, make_sentences, tmp_path):
    _, report = evaluated

    def evaluate(rank):
        rank.device = torch.device("cpu")
        return evaluate_bundle(
            pointer_bundle, make_sentences(6), tmp_path, judges=judges(), ranks=rank
        )

    for found in run_ranks(2, evaluate):
        assert without_time(found.figures) == without_time(report.figures)
        assert [result.key for result in found.results] == [result.key for result in report.results]
    written = without_time(report.as_dict()["figures"])
    assert without_time(figures(tmp_path)) == json.loads(json.dumps(written))


def test_a_sentence_that_cannot_be_spoken_is_named_and_in_no_figure(
    pointer_bundle, make_sentences, tmp_path
):
    sentences = make_sentences(3, with_recordings=False)
    long = (replace(sentences[1].prompts[0], text="much too long a transcript " * 30),)
    sentences[1] = replace(sentences[1], prompts=long)
    report = evaluate_bundle(pointer_bundle, sentences, tmp_path)
    assert list(report.failures) == ["sentence/1"]
    assert "does not fit its recording" in report.failures["sentence/1"]
    assert report.figure("unended").num_sentences == 2
    assert report.figure("rate", "recording") is None
    assert "no figures of recordings" in report.notes[0]
    assert "does not fit its recording" in Page((tmp_path / "index.html").read_text()).text


def test_a_bundle_without_an_aligner_has_no_character_errors(tiny_bundle, make_sentences, tmp_path):
    report = evaluate_bundle(tiny_bundle, make_sentences(1), tmp_path)
    assert report.figure("char_errors") is None
    assert "the bundle has none" in report.notes[0]


def test_sentences_that_cannot_be_told_apart_or_said_are_refused(
    pointer_bundle, make_sentences, tmp_path
):
    (one,) = make_sentences(1)
    with pytest.raises(ValueError, match="at least one sentence"):
        evaluate_bundle(pointer_bundle, [], tmp_path)
    with pytest.raises(ValueError, match="two sentence_0"):
        evaluate_bundle(pointer_bundle, [one, replace(one, key="sentence 0")], tmp_path)
    with pytest.raises(TextError):
        evaluate_bundle(pointer_bundle, [replace(one, text="?!")], tmp_path)
    with pytest.raises(ValueError, match="at least one prompt"):
        replace(one, prompts=())


def test_a_damaged_row_is_named(pointer_bundle, make_sentences, tmp_path):
    evaluate_bundle(pointer_bundle, make_sentences(1), tmp_path)
    (tmp_path / "sentences" / "sentence_0.json").write_text("{")
    with pytest.raises(ValueError, match=r"sentence_0.json is damaged"):
        evaluate_bundle(pointer_bundle, make_sentences(1), tmp_path)


def test_judges_of_one_name_are_refused():
    with pytest.raises(ValueError, match="names of their own"):
        Judges(recognizers=[EchoRecognizer(), EchoRecognizer()])
