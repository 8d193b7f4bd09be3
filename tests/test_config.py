from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from gsv2.config import ConfigError, load_config, save_config
from gsv2.stages import SCHEMAS


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 0.5
    kind: Literal["a", "b"] = "a"
    pair: tuple[float, float] = (0.9, 0.95)

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError(f"rate must be at least 0, but is {self.rate}")


@dataclass(frozen=True, kw_only=True)
class Outer:
    stage: str
    seed: int = 0
    inner: Inner = field(default_factory=Inner)
    table: dict[str, Inner] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    limit: int | None = None
    parts: list[Inner] = field(default_factory=list)
    extra: Inner | None = None


SCHEMA = {"toy": Outer}
SHIPPED = sorted(Path(__file__).parents[1].glob("configs/*/*.yaml"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text("stage: toy\nseed: 3\ninner: {rate: 0.25}\ntable: {gpt: {rate: 2}}\n")
    return path


def test_overrides_beat_the_file_and_the_file_beats_the_defaults(file: Path) -> None:
    overrides = ["seed=4", "inner.kind=b", "table.gpt.rate=1e-3", "seed=5", "words=[x,y]"]
    config = load_config(file, overrides, SCHEMA)
    assert isinstance(config, Outer)
    assert config.seed == 5
    assert config.inner == Inner(rate=0.25, kind="b")
    assert config.table == {"gpt": Inner(rate=1e-3)}
    assert config.words == ["x", "y"]
    assert config.inner.pair == (0.9, 0.95)


def test_a_saved_config_is_read_back_equal(file: Path, tmp_path: Path) -> None:
    config = load_config(file, ["limit=7", "words=[ü]"], SCHEMA)
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(tmp_path / "saved.yaml", [], SCHEMA) == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("inner.rat=1", r"inner\.rat"),
        ("inner.rate=fast", r"inner\.rate.*fast"),
        ("inner.kind=c", r"inner\.kind.*c"),
        ("inner.rate=-1", "rate must be at least 0, but is -1"),
        ("table.gpt.rte=1", "rte"),
        ("seed", "must read section.key=value, but is 'seed'"),
        ("stage=other", "stage must be one of toy, but is 'other'"),
        ("stage=[toy]", r"stage must be one of toy, but is \['toy'\]"),
        ("inner=[1]", r"inner must be a mapping of keys, but is \[1\]"),
        ("inner=null", "inner must be a mapping of keys, but is empty"),
        ("extra=3", "extra must be a mapping of keys, but is 3"),
        ("table=[gpt]", r"table must be a mapping of keys, but is \['gpt'\]"),
        ("table.gpt=fast", r"table\.gpt must be a mapping of keys, but is 'fast'"),
        ("words=one", r"words must be a list, \[a, b\], but is 'one'"),
        ("words={one: 1}", "words must be a list"),
        ("parts.0.rate=1", r"parts must be a list, \[a, b\], but is"),
        ("parts=[one]", r"parts\[0\] must be a mapping of keys, but is 'one'"),
    ],
)
def test_what_cannot_be_used_is_one_line_that_names_it(
    file: Path, override: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        load_config(file, [override], SCHEMA)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["a: [", "- 1", "stage: toy\nstage_: 1"])
def test_a_file_that_is_no_config_is_one_line_that_names_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"broken\.yaml") as error:
        load_config(path, [], SCHEMA)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content", ["stage: tö\n".encode("latin-1"), "stage: toy".encode("utf-16")]
)
def test_a_file_that_is_no_utf_8_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"broken\.yaml must be UTF-8 text"):
        load_config(path, [], SCHEMA)


def test_a_folder_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"config file {tmp_path} is no file"):
        load_config(tmp_path, [], SCHEMA)


def test_optional_sections_and_references_to_other_values_are_no_wrong_containers(
    file: Path,
) -> None:
    config = load_config(file, ["extra=null", "table.vits2=${inner}"], SCHEMA)
    assert (config.extra, config.table["vits2"]) == (None, Inner(rate=0.25))


def test_an_entry_of_a_table_is_refused_by_its_whole_key(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"table\.gpt\.rate must be at least 0, but is -1"):
        load_config(file, ["table.gpt.rate=-1"], SCHEMA)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"config file nowhere\.yaml does not exist"):
        load_config("nowhere.yaml", [], SCHEMA)


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).parents[1].glob("configs/*/*.yaml")), ids=str
)
def test_every_shipped_config_loads(path: Path) -> None:
    assert load_config(path, [], SCHEMAS).stage == path.parent.name
