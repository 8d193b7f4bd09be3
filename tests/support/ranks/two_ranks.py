"""What test_two_ranks.py runs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from gsv2.data.stream.batch import Batch
from gsv2.training.distributed.ranks import Distributed
from tests.support.real_stages import make_alignments, make_codes, train_stage
from tests.support.toy_stage import fit_toy, torn_batch, toy_config


class Stopped(Exception):
    """The run ends here, on every rank."""


def stopping_batch(k: int) -> Batch:
    """Return what `torn_batch` does until the fourth step, whose checkpoint is that of step 2."""
    if k >= 12:
        raise Stopped
    return torn_batch(k)


def check_gather(ranks: Distributed) -> None:
    """Check that every rank gets every object whole, however many bytes each has."""
    for sizes in ((0, 1), (4000, 9), (4090, 4096), (9, 5000), (200_000, 100_000)):
        objects = [{"rank": rank, "data": bytes([7 + rank]) * n} for rank, n in enumerate(sizes)]
        assert ranks.gather(objects[ranks.rank]) == objects


def main(*words: str) -> None:
    """Train in the first folder, from the corpus in the second: the toy, or the stages that follow.

    The toy comes with a quantizer, its codes and alignments, and `pointer`.
    """
    out, corpus = map(Path, words[:2])
    if stages := words[2:]:
        for name in stages:
            train_stage(name, out, corpus, out)
        Distributed().close()
        return
    check_gather(Distributed())
    fit_toy(toy_config(out), Distributed(), make_batch=torn_batch)
    with suppress(Stopped):
        fit_toy(toy_config(out / "moved"), Distributed(), make_batch=stopping_batch)
    limit = {"max_steps": 0, "max_minutes": 1 / 60, "validate_every_steps": 0}
    fit_toy(toy_config(out / "by_time", trainer=limit), Distributed())
    make_codes(out, corpus)
    make_alignments(out, corpus)
    train_stage("pointer", out, corpus, out)
    Distributed().close()
