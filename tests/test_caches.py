"""Caches of libraries: moved only where the home cannot be written, never over what is set."""

import os
import stat
from pathlib import Path

from gsv2.caches import set_cache_folders


def test_a_home_that_can_be_written_is_left_alone(tmp_path):
    environment = {"HOME": str(tmp_path), "USER": "anna"}
    set_cache_folders(environment)
    assert environment == {"HOME": str(tmp_path), "USER": "anna"}


def test_without_a_home_caches_lie_in_a_private_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    environment = {"HOME": "/nonexistent", "HF_HOME": "/models"}
    set_cache_folders(environment)
    assert environment["HF_HOME"] == "/models"
    folder = Path(environment["MPLCONFIGDIR"]).parent
    assert folder.parent == tmp_path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    again = {"HOME": "/nonexistent"}
    set_cache_folders(again)
    assert again["MPLCONFIGDIR"] == environment["MPLCONFIGDIR"]


def test_a_link_that_somebody_laid_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"gsv2-caches-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    environment = {"HOME": "/nonexistent"}
    set_cache_folders(environment)
    assert not Path(environment["MPLCONFIGDIR"]).is_relative_to(tmp_path / "elsewhere")
    assert f"gsv2-caches-{os.getuid()}/" not in environment["MPLCONFIGDIR"]
