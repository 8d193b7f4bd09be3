"""`gsv2 synthesize` as it is called."""

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from gsv2.audio.marking import read_mark
from gsv2.cli import app

pytestmark = pytest.mark.usefixtures("without_watermark")


def speak(bundle, out, *, text="hello", ref, more=()):
    options = ("--bundle", bundle, "--text", text, "--ref", ref, "--out", out, *more)
    return CliRunner().invoke(app, ["synthesize", *map(str, options)])


def test_speech_is_written_as_32_khz_wav(tmp_path, tiny_bundle, voice):
    out = tmp_path / "out.wav"
    more = ("--ref", voice, "--ref-text", "one", "--ref-text", "two", "--weight", 2, "--weight", 1)
    result = speak(tiny_bundle, out, ref=voice, more=more)
    assert result.exit_code == 0, result.output
    wave, rate = soundfile.read(out)
    assert rate == 32_000
    assert wave.ndim == 1
    assert len(wave) > 0


def test_a_stream_writes_what_one_candidate_is_without_it(tmp_path, tiny_bundle, voice):
    more = ("--ref-text", "a voice", "--seed", 2, "--candidates", 1)
    whole, streamed = tmp_path / "whole.wav", tmp_path / "streamed.wav"
    result = speak(tiny_bundle, whole, ref=voice, more=more)
    assert result.exit_code == 0, result.output
    assert "drawn again" not in result.stderr  # what was heard already cannot be
    result = speak(tiny_bundle, streamed, ref=voice, more=(*more[:-2], "--stream"))
    assert result.exit_code == 0, result.output
    assert result.stdout == ""  # which may be the speech
    assert f"{streamed}: " in result.stderr
    heard, levelled = soundfile.read(streamed)[0], soundfile.read(whole)[0]
    gain = np.abs(levelled).max() / np.abs(heard).max()  # the loudness of a stream is not known
    assert np.allclose(heard * gain, levelled, atol=1e-3 * gain)
    assert read_mark(streamed) == read_mark(whole) is not None


def test_a_stream_may_go_to_the_standard_output(tiny_bundle, voice):
    plain, raw = (
        speak(tiny_bundle, "-", ref=voice, more=("--stream", *more))
        for more in ((), ("--format", "pcm"))
    )
    assert plain.exit_code == raw.exit_code == 0, plain.stderr + raw.stderr
    wave = plain.stdout_bytes[-2 * 32_000 // 100 :]  # 10 ms, of a header that knows no length
    assert plain.stdout_bytes[:4] == b"RIFF"
    assert b"Synthetic speech" in plain.stdout_bytes[:200]
    assert len(wave) == 640
    ratio = (len(plain.stdout_bytes) - 44) / len(raw.stdout_bytes)
    assert ratio == pytest.approx(32 / 24, rel=0.02)


def test_the_standard_output_needs_a_stream_and_a_known_format(tiny_bundle, voice):
    for more, message in (
        ((), "- must end in the suffix"),
        (("--format", "x"), "--format must be"),
    ):
        result = speak(tiny_bundle, "-", ref=voice, more=more)
        assert result.exit_code == 1
        assert message in result.stderr


def test_a_stereo_reference_at_44100_hz_is_taken(tmp_path, tiny_bundle):
    tone = 0.1 * np.sin(np.arange(44_100) * 0.05)
    soundfile.write(tmp_path / "stereo.wav", np.stack([tone, tone], axis=1), 44_100)
    result = speak(tiny_bundle, tmp_path / "out.wav", ref=tmp_path / "stereo.wav")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("text", "reference", "message"),
    [
        ("hello", "missing.wav", "missing.wav does not exist"),
        ("hello", "short.wav", "must be 0.5 to 30.0 s long, but is 0.20 s"),
        ("hello", "noise.txt", "cannot be read as audio"),
        ("", "voice.wav", "text"),
        ("?!", "voice.wav", "text"),
    ],
)
def test_bad_input_is_one_line_that_names_it(
    tmp_path,
    tiny_bundle,
    text,
    reference,
    message,
):
    tone = 0.1 * np.sin(np.arange(32_000) * 0.05)
    soundfile.write(tmp_path / "voice.wav", tone, 32_000)
    soundfile.write(tmp_path / "short.wav", tone[:6_400], 32_000)
    (tmp_path / "noise.txt").write_text("not audio")
    result = speak(tiny_bundle, tmp_path / "out.wav", text=text, ref=tmp_path / reference)
    assert result.exit_code == 1
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("gsv2: error: ")
    assert message in lines[0]
    assert not (tmp_path / "out.wav").exists()


def test_a_text_comes_from_a_file_or_the_standard_input(tmp_path, tiny_bundle, voice):
    (tmp_path / "text.txt").write_text("One.\n")
    for source, stdin in ((tmp_path / "text.txt", None), ("-", "One.\n")):
        options = ("--bundle", tiny_bundle, "--text-file", source, "--ref", voice)
        arguments = ["synthesize", *map(str, options), "--out", str(tmp_path / "out.wav")]
        result = CliRunner().invoke(app, arguments, input=stdin)
        assert result.exit_code == 0, result.output
        assert (tmp_path / "out.wav").stat().st_size > 44
    result = CliRunner().invoke(app, [*arguments, "--text", "two"])
    assert "give --text or --text-file, and not both" in result.stderr
