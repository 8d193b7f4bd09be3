"""`gsv2 import` on the command line; what is taken is tested in tests/hub/test_gpt_sovits.py."""

from pathlib import Path

import torch
from typer.testing import CliRunner

from gsv2.cli import app
from gsv2.models.component import load_component
from tests.support.sovits_checkpoint import generator_tensors, save_checkpoint


def test_the_table_and_the_files_are_those_of_the_import(tmp_path: Path) -> None:
    checkpoint = save_checkpoint(tmp_path / "s2G.pth", generator_tensors())
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["import", str(checkpoint), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "dec.*" in result.output
    assert [file.name for file in out.iterdir()] == ["generator.safetensors"]
    assert load_component(out / "generator.safetensors", "generator").tensors


def test_a_checkpoint_of_another_kind_is_one_line(tmp_path: Path) -> None:
    other = save_checkpoint(tmp_path / "v3.pth", {"cfm.weight": torch.ones(2)})
    result = CliRunner().invoke(app, ["import", str(other), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "dec.conv_pre.weight; is it one of GPT-SoVITS v1 or v2?" in result.stderr
