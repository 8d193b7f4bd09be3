"""Lists of Seed-TTS-eval's format, and what is refused in them."""

import numpy as np
import pytest

from gsv2.audio.wave import save_wave
from gsv2.evaluation.sentence_list import SentenceListError, read_sentence_list
from gsv2.text.language import LanguageError
from tests.support.tiny_corpus import synthetic_wave


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "wavs").mkdir()
    for name in ("a", "b", "said"):
        save_wave(tmp_path / "wavs" / f"{name}.wav", synthetic_wave(1.0, 140.0, rng), 32_000)
    return tmp_path


def write(folder, text):
    path = folder / "meta.lst"
    path.write_text(text, encoding="utf-8")
    return path


def test_lines_of_seed_tts_eval_are_read(folder):
    text = (
        "u1|Hello there.|wavs/a.wav|How are you?\n"
        "\n"
        "u2|你好。|wavs/b.wav|今天是好天气。|wavs/said.wav\n"
    )
    found = read_sentence_list(write(folder, text), "en-us")
    assert len(found) == 2
    first, second = found
    assert (first.key, first.text, first.language) == ("u1", "How are you?", "en-US")
    assert first.speaker == "wavs/a.wav"
    assert first.prompts[0].text == "Hello there."
    assert len(first.prompts[0].wave) == 32_000
    assert first.recording is None
    assert second.recording.shape == (32_000,)
    assert [line.line for line in found.lines] == [1, 3]
    assert [sentence.key for sentence in found[1:]] == ["u2"]


def test_language_and_speaker_may_follow(folder):
    lines = [
        "u1|Hallo.|wavs/a.wav|Guten Tag.||de",
        "u2|Hallo.|wavs/b.wav|Guten Tag.||DE|anna",
        "u3|Hallo.|wavs/b.wav|Guten Tag.|wavs/said.wav||anna",
    ]
    found = read_sentence_list(write(folder, "\n".join(lines)))
    assert [line.language for line in found.lines] == ["de", "de", "und"]
    assert [line.speaker for line in found.lines] == ["wavs/a.wav", "anna", "anna"]
    assert found.lines[1].recording is None


GOOD = "u1|Hello.|wavs/a.wav|How are you?"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("u2|Hello.|wavs/a.wav", r"line 2: must have 4 to 7 fields .* but has 3"),
        (GOOD + "|wavs/said.wav|en|anna|more", "line 2: must have 4 to 7 fields .* but has 8"),
        ("|Hello.|wavs/a.wav|Hi.", "line 2: field 'utt' is empty"),
        ("u2||wavs/a.wav|Hi.", "line 2: field 'prompt text' is empty"),
        ("u2|Hello.||Hi.", "line 2: field 'prompt wav' is empty"),
        ("u2|Hello.|wavs/a.wav|?!", "line 2: field 'text' text must hold at least one letter"),
        ("u2|Hello.|wavs/no.wav|Hi.", "line 2: field 'prompt wav' does not exist: .*no.wav"),
        ("u2|Hello.|wavs/a.wav|Hi.|no.wav", "line 2: field 'recording' does not exist"),
        ("u2|Hello.|wavs/a.wav|Hi.||klingon!", "line 2: field 'language' .*'klingon!'"),
        ("u1|Hello.|wavs/b.wav|Hi.", "line 2: field 'utt' is that of line 1 too"),
    ],
)
def test_a_bad_line_is_refused_by_number_and_field(folder, line, message):
    with pytest.raises(SentenceListError, match=message):
        read_sentence_list(write(folder, f"{GOOD}\n{line}\n"))


def test_a_sound_that_cannot_be_used_is_refused_by_line_when_it_is_read(folder):
    save_wave(folder / "wavs" / "short.wav", np.zeros(100) + 0.1, 32_000)
    (folder / "wavs" / "broken.wav").write_text("no wave")
    lines = [GOOD, "u2|Hi.|wavs/short.wav|Hi.", "u3|Hi.|wavs/a.wav|Hi.|wavs/broken.wav"]
    found = read_sentence_list(write(folder, "\n".join(lines)))
    with pytest.raises(SentenceListError, match=r"meta.lst, line 2: reference .*short.wav must be"):
        found[1]
    with pytest.raises(SentenceListError, match=r"meta.lst, line 3: .*broken.wav"):
        found[2]


def test_empty_lists_and_other_encodings_are_refused(folder):
    with pytest.raises(SentenceListError, match="but is empty"):
        read_sentence_list(write(folder, "\n\n"))
    path = write(folder, "")
    path.write_bytes("u1|Gr\u00fc\u00dfe|wavs/a.wav|Hi".encode("latin-1"))
    with pytest.raises(SentenceListError, match="must be UTF-8"):
        read_sentence_list(path)
    with pytest.raises(LanguageError, match="klingon"):
        read_sentence_list(write(folder, GOOD), "klingon language")
