"""`gsv2 inspect` as it is called."""

import json

from typer.testing import CliRunner

from gsv2.cli import app
from tests.commands.test_voice import make


def run(*arguments: object):
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_a_bundle_and_a_voice_say_what_they_are(tiny_bundle, voice, tmp_path):
    result = run("inspect", tiny_bundle)
    assert result.exit_code == 0, result.output
    assert "1 x 2 of 16" in result.output
    found = json.loads(run("inspect", tiny_bundle, "--json").output)
    assert [part["part"] for part in found["parts"]] == ["gpt", "quantizer", "vits2"]
    path = tmp_path / "anna.voice.safetensors"
    assert make(tiny_bundle, voice, path).exit_code == 0
    told = json.loads(run("inspect", path, "--json").output)
    assert told["quantizer"] == found["quantizer"]
    assert (told["voice"], told["licence"], told["transcripts"]) == ("anna", "CC0-1.0", ["a voice"])
    assert "is not a bundle" in run("inspect", tmp_path).stderr
