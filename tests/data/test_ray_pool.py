"""Ray works as processes of this machine do; one that is lost costs a second try, or a line."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from gsv2.audio.wave import save_wave
from gsv2.data.building.build import build_corpus
from gsv2.data.building.build_run import BuildRun
from gsv2.data.process_pool import LostWorkerError
from gsv2.data.ray_pool import RayError, RayPool


class FakeRay(ModuleType):
    """Ray in this process: a task is done when its result is asked for."""

    def __init__(self, *, has_cluster: bool) -> None:
        super().__init__("ray")
        self.has_cluster, self.began, self.is_up = has_cluster, [], False
        self.exceptions = SimpleNamespace(RayTaskError=KeyError, RayError=IndexError)

    def is_initialized(self):
        return self.is_up

    def init(self, address, **given):
        if address == "auto" and not self.has_cluster:
            raise ConnectionError("no cluster")
        self.began.append((address, given))
        self.is_up = True

    def shutdown(self):
        self.is_up = False

    def cluster_resources(self):
        return {"CPU": 2.0}

    def put(self, value):
        return value

    def remote(self, function):
        task = SimpleNamespace(remote=lambda *rest: lambda: function(*rest))
        return SimpleNamespace(options=lambda **_: task)

    def get(self, reference):
        return reference()

    def cancel(self, reference):
        pass


def use(monkeypatch, *, has_cluster: bool) -> FakeRay:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    fake = FakeRay(has_cluster=has_cluster)
    monkeypatch.setitem(sys.modules, "ray", fake)
    return fake


def test_order_is_kept_and_items_are_taken_only_a_little_ahead(monkeypatch):
    fake = use(monkeypatch, has_cluster=True)
    taken = []
    results = RayPool().map(abs, (taken.append(n) or -n for n in range(100)))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert len(taken) <= 4 * 2 + 3
    results.close()
    assert not fake.is_up, "what was connected is left"


def test_a_cluster_that_is_there_is_taken_else_a_ray_of_this_machine(monkeypatch):
    fake = use(monkeypatch, has_cluster=True)
    assert list(RayPool(3).map(abs, [-1])) == [1]
    assert [address for address, _ in fake.began] == ["auto"]
    fake = use(monkeypatch, has_cluster=False)
    assert list(RayPool(3).map(abs, [-1])) == [1]
    ((address, given),) = fake.began
    assert (address, given["num_cpus"], given["include_dashboard"]) == ("local", 3, False)
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    with pytest.raises(RayError, match="RAY_ADDRESS=head:6379: no cluster"):
        list(RayPool().map(abs, [-1]))


def test_one_that_the_caller_has_begun_is_used_and_left_as_it_is(monkeypatch):
    fake = use(monkeypatch, has_cluster=True)
    fake.is_up = True
    assert list(RayPool().map(abs, [-1])) == [1]
    assert fake.is_up
    assert fake.began == []


def test_without_ray_a_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    put_clip(tmp_path / "in", 0)
    with pytest.raises(RayError, match=r"--engine ray needs Ray .*pip install 'gsv2\[ray\]'"):
        build_corpus(tmp_path / "in", tmp_path / "out", run=BuildRun(engine="ray"))


def put_clip(root: Path, number: int) -> None:
    path = root / "en" / f"s{number % 3}" / f"{number}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_wave(path, 0.1 * np.random.default_rng(number).standard_normal(8_000), 16_000)
    if number != 1:
        path.with_suffix(".txt").write_text(f"hello {number}")


def content(out: Path) -> dict[Path, bytes]:
    return {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def work(item: tuple[str, Path]) -> str:
    """Do what the item says; a death is told by a file, so that it can happen once."""
    name, mark = item
    if name == "dies always" or (name == "dies once" and not mark.exists()):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "raises":
        raise ValueError(f"{name}, rightly")
    return name


@pytest.fixture(scope="module")
def two_workers():
    ray = pytest.importorskip("ray")
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}  # 15 by default
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    ray.init(address="local", num_cpus=2, **quiet)
    yield ray
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.usefixtures("two_workers")
class TestRealRay:
    def test_ray_makes_the_corpus_of_one_process_byte_for_byte(self, tmp_path, monkeypatch):
        for number in range(20):
            put_clip(tmp_path / "in", number)
        monkeypatch.chdir(tmp_path)
        build_corpus("in", Path("alone"))
        build_corpus("in", Path("workers"), run=BuildRun(workers=2))
        build_corpus("in", Path("ray"), run=BuildRun(engine="ray"))
        assert content(tmp_path / "ray") == content(tmp_path / "alone")
        assert content(tmp_path / "workers") == content(tmp_path / "alone")

    def test_a_killed_worker_is_made_up_for(self, tmp_path):
        items = [(name, tmp_path / "mark") for name in ("a", "dies once", "b", "c")]
        assert list(RayPool(2).map(work, items)) == ["a", "dies once", "b", "c"]
        assert (tmp_path / "mark").exists()

    def test_an_item_that_kills_every_worker_is_named(self, tmp_path):
        items = [("a", tmp_path / "mark"), ("dies always", tmp_path / "mark")]
        with pytest.raises(LostWorkerError, match=r"dies always.* was lost 4 times"):
            list(RayPool(2).map(work, items))

    def test_what_a_function_raises_is_raised_here(self, tmp_path):
        with pytest.raises(ValueError, match=r"^raises, rightly$"):
            list(RayPool(2).map(work, [("raises", tmp_path)]))
