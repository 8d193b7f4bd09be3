"""`gsv2 detect` as it is called."""

import pytest
import soundfile
from typer.testing import CliRunner

from gsv2.cli import app
from tests.commands.test_synthesize import speak

pytestmark = pytest.mark.usefixtures("without_watermark")


def run(*arguments: object):
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_speech_is_marked_unless_that_is_turned_off(tiny_bundle, voice, tmp_path):
    for name, more in (("marked.wav", ()), ("bare.wav", ("--no-mark",))):
        assert speak(tiny_bundle, tmp_path / name, ref=voice, more=more).exit_code == 0
    found = run("detect", tmp_path / "marked.wav", tmp_path / "bare.wav").output.splitlines()
    assert "Synthetic speech, made by gsv2" in found[0]
    assert found[1].endswith("bare.wav: no mark")
    one, other = (soundfile.read(tmp_path / name)[0] for name in ("marked.wav", "bare.wav"))
    assert (one == other).all()
