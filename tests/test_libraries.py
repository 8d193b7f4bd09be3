import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gsv2.libraries import unloadable

ROOT = Path(__file__).parents[1]
HEAVY = (
    "torch", "accelerate", "deepspeed", "transformers", "vector_quantize_pytorch", "wandb",
    "webdataset",
)  # fmt: skip


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH with a torchaudio that the loader refuses."""
    folder = tmp_path / "broken"
    (folder / "torchaudio").mkdir(parents=True)
    reason = "raise OSError('libtorchaudio.so: undefined symbol: x')"
    (folder / "torchaudio" / "__init__.py").write_text(reason + "\n")
    return folder


@pytest.fixture
def light(broken: Path) -> Path:
    """The same, with empty packages in the place of what takes seconds to load.

    Whatever is called here and looks into torch before it has looked for torchaudio, fails.
    """
    for name in HEAVY:
        (broken / f"{name}.py").touch()
    return broken


def call(broken: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(broken), str(ROOT)])
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("-m", "gsv2.train", "configs/quantizer/debug.yaml"),
        ("data_tools/extract_codes.py", "--help"),
    ],
)
def test_a_program_that_needs_it_ends_with_the_one_line(
    light: Path, arguments: tuple[str, ...]
) -> None:
    _check_the_line(call(light, *arguments))


@pytest.mark.long
def test_a_command_that_meets_it_among_its_imports_ends_with_the_one_line(broken: Path) -> None:
    _check_the_line(call(broken, "-m", "gsv2", "quickstart", "--out", "runs/nowhere"))


def _check_the_line(result: subprocess.CompletedProcess[str]) -> None:
    lines = [line for line in result.stderr.splitlines() if "error:" in line]
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert len(lines) == 1
    assert "cannot be loaded beside torch 2" in lines[0]
    assert "undefined symbol: x" in lines[0]


def test_the_doctor_prints_its_table_all_the_same(light: Path) -> None:
    result = call(light, "-m", "gsv2", "doctor", "quantizer/debug", "--json")
    checks = {check["name"]: check for check in json.loads(result.stdout)}
    assert result.returncode == 1
    assert [name for name, check in checks.items() if check["status"] == "fail"] == ["torchaudio"]
    assert "cannot be loaded beside torch 2" in checks["torchaudio"]["detail"]
    assert {"python", "torch", "pyarrow", "memory"} <= checks.keys()


def test_a_library_that_does_not_load_is_one_line_with_both_versions(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(broken))
    monkeypatch.delitem(sys.modules, "torchaudio", raising=False)
    line = unloadable(["torch", "torchaudio"])
    assert line is not None
    assert "\n" not in line
    assert "cannot be loaded beside torch 2" in line
    assert "undefined symbol: x" in line
    assert "pip install" in line


@pytest.mark.parametrize("error", ["ImportError", "OSError", "RuntimeError", "AttributeError"])
def test_whatever_an_import_raises_is_a_library_that_does_not_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    (tmp_path / f"broken_{error.lower()}.py").write_text(f"raise {error}('reason')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    line = unloadable([f"broken_{error.lower()}"])
    assert line is not None
    assert "cannot be loaded: reason" in line


def test_nothing_is_said_where_all_load() -> None:
    assert unloadable(["json"]) is None
