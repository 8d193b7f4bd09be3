"""`gsv2 convert` as it is called."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
from typer.testing import CliRunner

from gsv2.cli import app

pytestmark = pytest.mark.usefixtures("without_watermark")


def test_a_recording_is_written_in_another_voice(tmp_path: Path, tiny_bundle: Path, voice: Path):
    out = tmp_path / "out.wav"
    options = ("--bundle", tiny_bundle, "--recording", voice, "--ref", voice, "--out", out)
    result = CliRunner().invoke(app, ["convert", *map(str, options)])
    assert result.exit_code == 0, result.output
    assert result.output == f"{out}: 1.50 s\n"
    assert soundfile.info(out).samplerate == 32_000
