"""Pages name what is there: files, modules, links, commands."""

from __future__ import annotations

import inspect
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec

import pytest
import typer

from gsv2.cli import app
from tests.support.shown_commands import PAGES, ROOT

LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)(?:#[\w-]+)?\)")
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
FILE = re.compile(r"(?:gsv2|tests|docs|examples|launch|configs|benchmarks|findings)/[\w./]+[\w/]")
MODULE = re.compile(r"gsv2(?:\.[a-z_0-9]+)+")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_files_and_modules_are_there(page):
    text = page.read_text()
    for link in LINK.findall(CODE.sub("", text)):
        assert (page.parent / link).exists(), f"link {link}"
    for code in CODE.findall(text):
        for path in FILE.findall(code) if " " not in code else ():
            assert "NAME" in path or (ROOT / path).exists(), f"file {path}"
        for module in MODULE.findall(code) if "/" not in code else ():
            assert find_spec(module), f"module {module}"


def test_classes_that_pages_name_are_there():
    sources = "\n".join(path.read_text() for path in (ROOT / "gsv2").rglob("*.py"))
    classes = set(re.findall(r"^class (\w+)", sources, re.MULTILINE)) | {"Literal", "None"}
    for page in PAGES:
        for code in CODE.findall(page.read_text()):
            for name in re.findall(r"^[A-Z][a-z]\w+", code):
                assert name in classes, f"{page.name}: class {name}"


def test_the_table_of_training_names_its_files():
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text[text.index("| in `gsv2/training/` | is |") :].split("\n\n")[0]
    names = [name for line in table.splitlines()[2:] for name in CODE.findall(line.split("|")[1])]
    assert len(names) > 10
    for name in names:
        assert (ROOT / "gsv2" / "training" / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_commands_and_options_are_there(page):
    for code in CODE.findall(page.read_text()):
        if code.startswith("gsv2 ") and "..." not in code:
            check_command(shlex.split(code)[1:])


def check_command(words: list[str]) -> None:
    """Check that a command and its options exist, whatever their values."""
    command = typer.main.get_command(app)
    context = typer.Context(command)
    while words and hasattr(command, "get_command"):
        command = command.get_command(context, words[0])
        assert command is not None, f"no command {words[0]}"
        words = words[1:]
    options = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    for word in words:
        assert not word.startswith("--") or word in options, f"no option {word}"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 150


def test_importing_the_package_loads_nothing():
    program = "import sys, gsv2; assert 'torch' not in sys.modules; print(len(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    import gsv2

    assert gsv2.__version__
    assert {"Synthesizer", "load_references", "train"} <= set(dir(gsv2))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = gsv2.nothing


def test_train_is_one_thing_that_can_be_called_and_has_the_names_of_its_module():
    import gsv2
    from gsv2 import train

    assert train is gsv2.train is sys.modules["gsv2.train"]
    assert [*inspect.signature(train).parameters] == ["config_path", "overrides", "stages"]
    assert inspect.signature(train) == inspect.signature(train.main)
