import sys
from pathlib import Path

import pytest

from gsv2.libraries import unloadable


def test_a_library_that_does_not_load_is_one_line_with_both_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torchaudio").mkdir()
    (tmp_path / "torchaudio" / "__init__.py").write_text("raise OSError('undefined symbol: x')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torchaudio", raising=False)
    line = unloadable(["torch", "torchaudio"])
    assert line is not None
    assert "\n" not in line
    assert "cannot be loaded beside torch 2" in line
    assert "undefined symbol: x" in line
    assert "pip install" in line


def test_nothing_is_said_where_all_load() -> None:
    assert unloadable(["json"]) is None
