"""A folder in which every shown command works as written, after a small quickstart."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from gsv2.audio.wave import save_wave
from gsv2.data.corpus.format import SAMPLE_RATE
from tests.support.layouts import LAYOUTS
from tests.support.shown_commands import ROOT
from tests.support.tiny_corpus import synthetic_wave


@pytest.fixture(scope="session")
def workspace(tiny_quickstart: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout after `make quickstart`, with recordings, a manifest and a foreign WebDataset."""
    folder = tmp_path_factory.mktemp("shown")
    shutil.copytree(tiny_quickstart, folder / "runs" / "quickstart")
    for name in ("configs", "docs", "examples", "launch"):
        (folder / name).symlink_to(ROOT / name)
    rng = np.random.default_rng(0)
    speaker = folder / "RECORDINGS" / "en" / "anna"
    speaker.mkdir(parents=True)
    for number in range(3):
        wave = synthetic_wave(1.5, 140.0, rng)
        save_wave(speaker / f"{number}.wav", wave, SAMPLE_RATE)
        (speaker / f"{number}.txt").write_text(f"This is sentence {number}.")
    shutil.copy(speaker / "0.wav", folder / "VOICE.wav")
    (folder / "sentences.lst").write_text(
        "1|This is sentence 0.|VOICE.wav|The red train is late.\n"
    )
    line = {"audio": "RECORDINGS/en/anna/0.wav", "text": "This is sentence 0."}
    (folder / "list.jsonl").write_text(json.dumps(line) + "\n")
    _write_foreign(folder / "LIBRI", speaker)
    for name in ("pairs", "common-voice", "table"):
        LAYOUTS[name].write(folder / "NEW" / name)
    return folder


def _write_foreign(folder: Path, recordings: Path) -> None:
    folder.mkdir()
    with tarfile.open(folder / "part-0.tar", "w") as tar:
        for path in sorted(recordings.glob("*.wav")):
            said = {"sentence": path.with_suffix(".txt").read_text(), "spk_id": "anna"}
            for name, content in (
                (path.name, path.read_bytes()),
                (f"{path.stem}.json", json.dumps(said).encode()),
            ):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
