from __future__ import annotations

from pathlib import Path

import pytest

from gsv2.files import atomic_folder, clean_up, remove_folder, replace_folder


@pytest.fixture
def final(tmp_path: Path) -> Path:
    return tmp_path / "step_1"


def write(final: Path, text: str) -> None:
    with atomic_folder(final) as folder:
        (folder / "file").write_text(text)


def content(parent: Path) -> dict[str, str]:
    return {path.name: (path / "file").read_text() for path in parent.iterdir()}


def test_a_folder_takes_its_place_and_that_of_the_one_before(final: Path) -> None:
    write(final, "first")
    assert content(final.parent) == {"step_1": "first"}
    write(final, "second")
    assert content(final.parent) == {"step_1": "second"}


@pytest.mark.parametrize("before", [{}, {"step_1": "first"}])
def test_an_error_leaves_everything_as_it_was(final: Path, before: dict[str, str]) -> None:
    for text in before.values():
        write(final, text)

    def fill_the_disk() -> None:
        with atomic_folder(final) as folder:
            (folder / "file").write_text("half")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fill_the_disk()
    assert content(final.parent) == before


def test_a_folder_that_cannot_take_its_place_gives_it_back(
    final: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(final, "first")
    rename = Path.rename

    def refuse_new(path: Path, target: Path) -> Path:
        if path.name == ".tmp-step_1":
            raise OSError("stale")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse_new)
    with pytest.raises(OSError, match="stale"):
        write(final, "second")
    assert content(final.parent) == {"step_1": "first"}


@pytest.mark.parametrize(
    ("left", "found"),
    [
        ({".tmp-step_1": "half"}, {}),
        ({".tmp-old-step_1": "first", ".tmp-step_1": "second"}, {"step_1": "first"}),
        ({".tmp-old-step_1": "first", "step_1": "second"}, {"step_1": "second"}),
        ({".tmp-gone-step_1": "first"}, {}),
        ({"step_1": "first", "step_2": "second"}, {"step_1": "first", "step_2": "second"}),
    ],
)
def test_what_a_killed_process_has_left_is_whole_or_gone(
    tmp_path: Path, left: dict[str, str], found: dict[str, str]
) -> None:
    """Of each moment between two renames."""
    for name, text in left.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(text)
    clean_up(tmp_path)
    assert content(tmp_path) == found


def test_what_is_taken_away_leaves_nothing(final: Path) -> None:
    write(final, "first")
    remove_folder(final)
    assert list(final.parent.iterdir()) == []


@pytest.mark.parametrize("left", [{}, {"step_1": "first"}, {"step_1": "x", ".tmp-old-step_1": "y"}])
def test_a_folder_that_was_made_elsewhere_takes_its_place(
    tmp_path: Path, left: dict[str, str]
) -> None:
    """Also where a killed process has left what it was replacing."""
    for name, text in {**left, "made": "second"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(text)
    replace_folder(tmp_path / "made", tmp_path / "step_1")
    assert content(tmp_path) == {"step_1": "second"}
