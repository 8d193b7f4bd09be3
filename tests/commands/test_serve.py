"""`gsv2 serve` as it is called."""

import pytest
from typer.testing import CliRunner

from gsv2.cli import app
from gsv2.commands import serve


def run(*arguments: object):
    return CliRunner().invoke(app, ["serve", *map(str, arguments)])


@pytest.fixture
def served(monkeypatch):
    """What would be served."""
    pytest.importorskip("fastapi")
    calls = []
    monkeypatch.setattr("gsv2.serve.server.run_server", lambda *args: calls.append(args))
    return calls


def test_a_bundle_is_served_on_loopback_in_the_voices_that_are_named(tiny_bundle, voice, served):
    result = run("--bundle", tiny_bundle, "--voice", voice)
    assert result.exit_code == 0, result.output
    [(_, host, port, stop_sec)] = served
    assert (host, port, stop_sec) == ("127.0.0.1", 8000, 20.0)


@pytest.mark.parametrize(("host", "warns"), [("0.0.0.0", True), ("::1", False), ("h", True)])
def test_an_open_door_without_a_token_is_told(
    tiny_bundle, served, monkeypatch, caplog, host, warns
):
    monkeypatch.delenv("GSV2_TOKEN", raising=False)
    with caplog.at_level("INFO", logger="gsv2"):
        assert run("--bundle", tiny_bundle, "--host", host).exit_code == 0
    assert ("may speak" in caplog.text) == warns


def test_wyoming_knows_no_keys(tiny_bundle, served):
    result = run("--bundle", tiny_bundle, "--token", "x", "--wyoming-port", 10200)
    assert result.exit_code == 1
    assert "exclude each other" in result.stderr


def test_what_is_missing_is_named(tmp_path, tiny_bundle, served, monkeypatch):
    assert "is not a bundle" in run("--bundle", tmp_path).stderr
    result = run("--bundle", tiny_bundle, "--voice", tmp_path / "nowhere.wav")
    assert "nowhere.wav does not exist" in result.stderr
    monkeypatch.setattr(serve, "find_spec", lambda name: None if name == "fastapi" else True)
    result = run("--bundle", tiny_bundle)
    assert result.exit_code == 1
    assert "pip install 'gsv2[serve]' (not there: fastapi)" in result.stderr
    assert not served
