"""Every command that we show can start: the layout of its config fits its number of ranks."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from gsv2.config import load_config
from gsv2.data.plan.plan import check_layout, check_step
from gsv2.stages import SCHEMAS
from tests.support.processes import ROOT

pytestmark = pytest.mark.long

SUFFIXES = (".yaml", ".sh", ".sbatch", ".py")
SHOWN = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(path for path in (ROOT / "launch").rglob("*") if path.suffix in SUFFIXES),
    *sorted((ROOT / "configs").rglob("*.yaml")),
    ROOT / "gsv2" / "train.py",
]
CONTINUED = re.compile(r"\\\n#?\s*")
CONFIG = re.compile(r"(configs/[a-z0-9]+/\w+\.yaml)([^`#\n]*)")
OVERRIDE = re.compile(r"'([a-z_.]+=[^']+)'|([a-z_.]+=[^\s\",]+)")
RANKS = (
    r"--num_processes (\d+)",
    r"--nodes (\d+) --gpus-per-node (\d+)",
    r"--ranks (\d+)",
    r"local\.sh (\d+)",
    r"--world (\d+)",
)


class Example(NamedTuple):
    where: str
    config: str
    overrides: list[str]
    ranks: int


def examples(path: Path) -> Iterator[Example]:
    for line in CONTINUED.sub(" ", path.read_text()).splitlines():
        counts = [found for words in RANKS if (found := re.search(words, line))]
        ranks = math.prod(int(number) for number in counts[0].groups()) if counts else 1
        for found in CONFIG.finditer(line):
            overrides = [quoted or plain for quoted, plain in OVERRIDE.findall(found[2])]
            yield Example(path.name, found[1], overrides, ranks)


def all_examples() -> list[Example]:
    trainer = yaml.safe_load((ROOT / "launch/k8s/trainjob.yaml").read_text())["spec"]["trainer"]
    config, *overrides = trainer["args"]
    ranks = trainer["numNodes"] * trainer["numProcPerNode"]
    job = Example("trainjob.yaml", config, overrides, ranks)
    return [job, *(example for path in SHOWN for example in examples(path))]


@pytest.mark.parametrize("example", all_examples(), ids=lambda e: f"{e.where}-{e.config}-{e.ranks}")
def test_what_we_show_fits_its_ranks(example: Example) -> None:
    config = load_config(ROOT / example.config, example.overrides, SCHEMAS)
    check_layout(config.data.lanes, example.ranks, config.data.workers)
    check_step(config.data.micro_batches_per_step, example.ranks)


def test_the_examples_are_found() -> None:
    found = {(example.where, example.config, example.ranks) for example in all_examples()}
    base = "configs/gpt/base.yaml"
    for where, ranks in (("README.md", 32), ("operations.md", 16), ("slurm.sbatch", 32)):
        assert (where, base, ranks) in found
    assert {("trainjob.yaml", base, 32), ("multi_node.yaml", base, 32)} <= found
    assert {("README.md", "configs/gpt/debug.yaml", 2), ("base.yaml", base, 8)} <= found


@pytest.mark.parametrize(
    ("stage", "most"), [("gpt", 64), ("quantizer", 64), ("vits2", 16), ("joint", 16)]
)
def test_base_configs_fit_whole_machines_and_say_how_many(stage: str, most: int) -> None:
    path = ROOT / "configs" / stage / "base.yaml"
    config = load_config(path, [], SCHEMAS)
    for ranks in (8, 16, 32, 64):
        check_layout(config.data.lanes, ranks, config.data.workers)
        if ranks <= most:
            check_step(config.data.micro_batches_per_step, ranks)
    assert f"shared by 1, 2, 4 ... {most} ranks" in path.read_text()


def test_a_step_that_the_ranks_cannot_share_names_the_numbers_that_can() -> None:
    with pytest.raises(ValueError, match=r"multiple of the 64 ranks, but is 12: .* 1, 2, 3, 4, 6"):
        check_step(12, 64)
