from __future__ import annotations

import pytest
import torch

from gsv2.seeds import derive_seed, seed_torch


def test_seeds_depend_on_every_word_and_its_place() -> None:
    words = [(0, 1, 2), (0, 2, 1), (0, 1), (1, 1, 2), (0, 12), ("validation", 1, 2)]
    assert len({derive_seed(*w) for w in words}) == len(words)
    assert all(0 <= derive_seed(*w) < 2**63 for w in words)


def test_the_seed_of_given_words_never_changes() -> None:
    assert derive_seed(0, 1, 2) == 603432347784401458


def test_the_same_words_give_the_same_noise() -> None:
    seed_torch(3, 4)
    noise = torch.rand(3)
    seed_torch(3, 4)
    assert torch.equal(noise, torch.rand(3))


def test_the_noise_is_that_of_torch_s_own_seeding() -> None:
    seed_torch(3, 4)
    noise = torch.rand(3)
    torch.manual_seed(derive_seed(3, 4))
    assert torch.equal(noise, torch.rand(3))


def test_gpus_get_the_same_seed_and_only_where_there_are_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    for is_there in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=is_there: there)
        seed_torch(3, 4)
    assert seeds == [derive_seed(3, 4)]
    assert torch.default_generator.initial_seed() == derive_seed(3, 4)


def test_seeding_leaves_nothing_behind_where_there_is_no_gpu() -> None:
    before = len(torch.cuda._queued_calls)
    for number in range(10):
        seed_torch(number)
    assert len(torch.cuda._queued_calls) == before
