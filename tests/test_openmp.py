from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gsv2.openmp import (
    SPIN_ROUNDS,
    child_environment,
    describe_waiting,
    limit_spinning,
    names_threads,
    num_cores,
)


def test_threads_that_wait_sleep_soon() -> None:
    environment = {"HOME": "/root", "OMP_WAIT_POLICY": ""}
    limit_spinning(environment)
    assert environment["GOMP_SPINCOUNT"] == SPIN_ROUNDS
    assert describe_waiting(environment) == f"spinning for at most {SPIN_ROUNDS} rounds"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("OMP_WAIT_POLICY", "active", "OMP_WAIT_POLICY=active"),
        ("GOMP_SPINCOUNT", "7", "spinning for at most 7 rounds"),
    ],
)
def test_what_the_user_says_of_waiting_stays(name: str, value: str, told: str) -> None:
    environment = {name: value}
    limit_spinning(environment)
    assert environment == {name: value}
    assert describe_waiting(environment) == told


def test_nothing_said_is_told_as_such() -> None:
    assert describe_waiting({}) == "spinning as OpenMP likes"


def test_a_child_computes_by_its_threads_and_waits_as_the_user_says() -> None:
    child = child_environment({"OMP_NUM_THREADS": "9", "A": "b"}, 3)
    assert (child["OMP_NUM_THREADS"], child["MKL_NUM_THREADS"], child["A"]) == ("3", "3", "b")
    assert child["GOMP_SPINCOUNT"] == SPIN_ROUNDS
    assert "GOMP_SPINCOUNT" not in child_environment({"OMP_WAIT_POLICY": "active"}, 3)


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, None),
        ({"OMP_NUM_THREADS": ""}, None),
        ({"OMP_NUM_THREADS": "4"}, "OMP_NUM_THREADS"),
        ({"MKL_NUM_THREADS": "4"}, "MKL_NUM_THREADS"),
    ],
)
def test_who_chose_the_number_of_threads_is_named(
    environment: dict[str, str], name: str | None
) -> None:
    assert names_threads(environment) == name


def test_cores_are_those_that_the_process_may_use() -> None:
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system does not bind processes to cores")
    one = min(os.sched_getaffinity(0))
    count = (
        f"import os; os.sched_setaffinity(0, [{one}]); "
        "from gsv2.openmp import num_cores; print(num_cores())"
    )
    out = subprocess.run([sys.executable, "-c", count], check=True, capture_output=True, text=True)
    assert int(out.stdout) == 1 <= num_cores()


def test_the_command_limits_spinning_before_torch_is_imported() -> None:
    """The library of the settings is loaded with torch, and reads them then alone."""
    script = (
        "import os, sys, gsv2.__main__ as m; from gsv2 import openmp; "
        "m.limit_spinning = lambda env: print('torch' in sys.modules, env is os.environ); "
        "sys.argv = ['gsv2', 'configs', 'list']; m.main()"
    )
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert out.stdout.splitlines()[0] == "False True", out.stderr
