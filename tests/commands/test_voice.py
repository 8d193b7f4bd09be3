"""`gsv2 voice` as it is called."""

import pytest
from typer.testing import CliRunner

from gsv2.cli import app


def run(*arguments: object):
    return CliRunner().invoke(app, [*map(str, arguments)])


def make(bundle, ref, out, *more):
    notes = ("--licence", "CC0-1.0", "--consent", "mine", "--ref-text", "a voice")
    return run("voice", "make", ref, "--bundle", bundle, *notes, "--out", out, *more)


def test_a_voice_is_made_mixed_and_spoken_with(tiny_bundle, voice, tmp_path):
    paths = [tmp_path / f"{name}.voice.safetensors" for name in "abc"]
    for path in paths[:2]:
        result = make(tiny_bundle, voice, path)
        assert result.exit_code == 0, result.output
    mixed = run("voice", "mix", *paths[:2], "--weight", 0.7, "--weight", 0.3, "--out", paths[2])
    assert mixed.exit_code == 0, mixed.output
    assert "2 recordings of 2 voices" in mixed.output
    spoken = ("--bundle", tiny_bundle, "--text", "One.", "--out", tmp_path / "out.wav")
    result = run("synthesize", *spoken, "--ref", paths[2], "--ref", voice, "--ref-text", "a voice")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out.wav").is_file()


@pytest.mark.parametrize(
    ("out", "message"),
    [("a.wav", "must end in .voice.safetensors"), ("no/a.voice.safetensors", "no is no folder")],
)
def test_a_name_that_cannot_be_written_is_refused_first(tmp_path, out, message):
    result = make(tmp_path / "no bundle", tmp_path / "no.wav", tmp_path / out)
    assert result.exit_code == 1
    assert message in result.stderr
