"""Shipped files by name: a user's own file first, a wrong name in one line with the nearest."""

from pathlib import Path

import pytest

from gsv2.shipped import find_config, shipped_configs, shipped_folder


def test_a_file_of_the_user_comes_before_a_shipped_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = shipped_configs()["gpt/debug"]
    for name in ("gpt/debug", "configs/gpt/debug.yaml", "./configs/gpt/debug.yaml"):
        assert find_config(Path(name)) == shipped
    own = tmp_path / "configs" / "gpt" / "debug.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("stage: gpt")
    assert find_config(Path("configs/gpt/debug.yaml")).samefile(own)
    assert find_config(Path("gpt/debug")) == shipped


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("gpt/debgu", "gpt/debug"), ("configs/vits/base.yaml", "vits2/base"), ("gpt", "gpt/bge")],
)
def test_a_wrong_name_is_one_line_with_the_nearest_names(tmp_path, monkeypatch, name, nearest):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"does not exist; name a YAML file") as caught:
        find_config(Path(name))
    assert nearest in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["configs", "launch", "data_tools"])
def test_every_kind_of_shipped_file_is_there(kind):
    assert any(shipped_folder(kind).iterdir())
