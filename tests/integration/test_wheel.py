"""A wheel holds what its commands need, and works in an empty environment and an empty folder."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("configs", "data_tools", "gsv2", "launch")
FILES = ("LICENSE", "README.md", "pyproject.toml", "setup.py")
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Return a wheel of this checkout, built in a copy: setuptools leaves folders behind."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    command = [sys.executable, "-c", BUILD, str(folder / "dist")]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (made,) = (folder / "dist").glob("*.whl")
    return made


def test_a_wheel_holds_every_file_that_its_commands_need(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        content = b"".join(archive.read(name) for name in names)
    for kind in ("configs", "launch", "data_tools"):
        files = {path for path in (ROOT / kind).rglob("*") if path.is_file()}
        wanted = {str(path.relative_to(ROOT)) for path in files if path.suffix != ".pyc"}
        assert {f"gsv2/shipped/{name}" for name in wanted} <= names
    code = {str(path.relative_to(ROOT)) for path in (ROOT / "gsv2").rglob("*.py")}
    assert code <= names
    assert {"gsv2/quickstart/report.html.j2", "gsv2/py.typed"} <= names
    assert {"gsv2/evaluation/page.html.j2", "gsv2/evaluation/page_style.css"} <= names
    weights = {"resemblyzer.safetensors", "LICENSE", "README.md"}
    assert {f"gsv2/evaluation/weights/{name}" for name in weights} <= names
    project = "-".join(wheel.name.split("-")[:2])
    assert {name.split("/")[0] for name in names} == {"gsv2", f"{project}.dist-info"}
    assert str(ROOT).encode() not in content
    assert str(wheel.parent).encode() not in content


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("lock", [True, False], ids=["from the lock", "from the ranges"])
def test_a_fresh_environment_runs_the_quickstart_in_an_empty_folder(wheel, tmp_path, lock):
    environment, work = tmp_path / "venv", tmp_path / "work"
    work.mkdir()
    own = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}

    def run(*command: object) -> None:
        parts = [str(part) for part in command]
        done = subprocess.run(
            parts, cwd=work, env={**own, "DS_BUILD_OPS": "0"}, text=True, capture_output=True
        )
        assert done.returncode == 0, f"{parts}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"

    try:
        uv = (sys.executable, "-m", "uv")
        run(*uv, "venv", "--python", sys.executable, environment)
        constraints = ("-c", ROOT / "constraints.txt") if lock else ()
        into = ("--python", environment / "bin" / "python", *constraints)
        run(*uv, "pip", "install", *into, f"gsv2[demo] @ {wheel.as_uri()}")
        run(environment / "bin" / "gsv2", "doctor")
        run(environment / "bin" / "gsv2", "quickstart", "--scale", "0.02")
        assert (work / "runs" / "quickstart" / "report.html").is_file()
        run(environment / "bin" / "gsv2", "plan", "gpt/debug", "--summary")
    finally:
        shutil.rmtree(environment, ignore_errors=True)  # 6 GB
