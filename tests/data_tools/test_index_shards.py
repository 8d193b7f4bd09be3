import importlib.util
from pathlib import Path

import typer
from typer.testing import CliRunner

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from tests.support.archives import audio_bytes, json_bytes, said, write_tar

TOOL = Path(__file__).parents[2] / "data_tools" / "index_shards.py"


def run(*arguments):
    spec = importlib.util.spec_from_file_location("index_shards", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    app = typer.Typer()
    app.command()(tool.main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_options_lead_to_what_is_indexed(tmp_path):
    fields = json_bytes(sentence="Guten Tag", who={"id": 3}, lang="de")
    clip = {"__key__": "k1", "WAV": audio_bytes(0.5, 16_000), "json": fields}
    write_tar(tmp_path / "a.tar", clip, said("bob_2"), said("bad", "?"))
    made = run(
        "--corpus", tmp_path, "--field", "text=sentence", "--field", "speaker=who.id",
        "--field", "language=lang", "--language", "en", "--audio", ".WAV",
        "--speaker-from-key", "^(.*)_",
    )  # fmt: skip
    assert made.exit_code == 0, made.stderr
    assert "2 clips, 0.000 h, 2 speakers, 1 shards" in made.stdout
    assert "rejected 1: no speech in the text" in made.stdout
    index = CorpusIndex.open(SourceConfig(path=str(tmp_path)))
    assert index.strings("text").to_pylist() == ["Guten Tag", "Hello there."]
    assert index.strings("language").to_pylist() == ["de", "en"]
    assert index.strings("speaker").to_pylist() == ["3", "bob"]


def test_failures_are_one_line(tmp_path):
    write_tar(tmp_path / "a.tar", said("k1"))
    for arguments in (
        ("--corpus", tmp_path, "--field", "words=x"),
        ("--corpus", tmp_path, "--field", "text"),
        ("--corpus", tmp_path, "--speaker-from-key", "("),
        ("--corpus", tmp_path / "nowhere"),
        ("--corpus", tmp_path),  # no language
    ):
        made = run(*arguments)
        assert made.exit_code == 1
        assert made.stderr.startswith("error: ")
        assert made.stderr.count("\n") == 1
        assert isinstance(made.exception, SystemExit)
    assert "Example" in run("--help").stdout
