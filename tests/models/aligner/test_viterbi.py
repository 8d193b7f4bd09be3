from __future__ import annotations

from itertools import groupby, product

import numpy as np
import pytest
import torch
from torchaudio.functional import forced_align

from gsv2.models.aligner.viterbi import (
    AlignmentError,
    _path_finder,
    align_characters,
    walk_by_numpy,
)


def make_case(rng: np.random.Generator, T: int, L: int, columns: int = 4) -> tuple:
    """Return log-probabilities [T, columns] and a text [L] of few characters, so with repeats."""
    logits = torch.from_numpy(rng.normal(size=(T, columns)) * 2)
    return logits.log_softmax(dim=-1).numpy(), rng.integers(1, columns, size=L)


def needed(targets: np.ndarray) -> int:
    return len(targets) + int((targets[1:] == targets[:-1]).sum())


def test_200_random_paths_are_the_best_of_all_paths() -> None:
    rng, done = np.random.default_rng(0), 0
    while done < 200:
        log_probs, targets = make_case(rng, int(rng.integers(1, 7)), int(rng.integers(1, 4)))
        T = len(log_probs)
        if needed(targets) > T:
            continue
        scores = {
            path: log_probs[np.arange(T), path].sum()
            for path in product(range(4), repeat=T)
            if [k for k, _ in groupby(path) if k] == targets.tolist()
        }
        best = max(scores, key=lambda path: scores[path])
        found = align_characters(log_probs, targets)
        assert found.score == pytest.approx(scores[best] / T)
        assert found.characters.tolist() == characters_of(best, len(targets))
        done += 1


def characters_of(path: tuple[int, ...], L: int) -> list[int]:
    """Return the character of each frame of a path of columns, blanks shared."""
    characters, begun = [], 0
    for is_blank, run in groupby(enumerate(path), key=lambda frame: frame[1] == 0):
        frames = [t for t, _ in run]
        if not is_blank:
            for t in frames:
                begun += t == 0 or path[t - 1] != path[t]
                characters.append(begun - 1)
            continue
        is_between = 0 < begun < L
        before = round(0.75 * len(frames) + 0.01) if is_between else 0  # a half goes up
        after = min(begun, L - 1)
        characters += [after - 1] * before + [after] * (len(frames) - before)
    return characters


def test_three_quarters_of_the_blanks_between_two_characters_are_of_the_first() -> None:
    path = [0, 1, 0, 0, 0, 0, 2, 0, 0]
    log_probs = np.full((len(path), 3), -9.0)
    log_probs[np.arange(len(path)), path] = -0.1
    found = align_characters(log_probs, np.array([1, 2]))
    assert found.characters.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("seed", range(20))
def test_a_long_path_is_that_of_torchaudio(seed: int) -> None:
    log_probs, targets = make_case(np.random.default_rng(seed), T=120, L=40, columns=9)
    path, _ = forced_align(torch.from_numpy(log_probs)[None], torch.from_numpy(targets)[None])
    found = align_characters(log_probs, targets)
    assert found.characters.tolist() == characters_of(tuple(path[0].tolist()), 40)
    assert found.characters.dtype == np.uint16


@pytest.mark.parametrize("seed", range(20))
def test_compiled_loops_and_numpy_find_the_same_path(seed: int) -> None:
    rng = np.random.default_rng(seed)
    S = 2 * int(rng.integers(1, 12)) + 1
    emissions = np.log(rng.random((S + 5, S)))
    can_pass = np.zeros(S, dtype=bool)
    can_pass[3::2] = rng.random(len(can_pass[3::2])) < 0.7
    states, total = _path_finder()(emissions, can_pass)
    expected, expected_total = walk_by_numpy(emissions, can_pass)
    assert states.tolist() == expected.tolist()
    assert total == pytest.approx(expected_total)


def test_no_character_is_skipped_repeated_or_left_over() -> None:
    log_probs, targets = make_case(np.random.default_rng(1), T=60, L=25)
    steps = np.diff(align_characters(log_probs, targets).characters.astype(int))
    assert set(steps.tolist()) == {0, 1}
    assert steps.sum() == 24


@pytest.mark.parametrize("targets", [[1, 2, 3, 1, 2], [1, 1, 1]])
def test_as_many_frames_as_are_needed_do_and_one_less_is_an_error(targets: list[int]) -> None:
    log_probs = np.log(np.full((5, 4), 0.25))
    assert align_characters(log_probs, np.array(targets)).characters[-1] == len(targets) - 1
    with pytest.raises(AlignmentError, match="needs at least 5 frames, but has 4"):
        align_characters(log_probs[:4], np.array(targets))


def test_what_is_no_text_is_refused() -> None:
    log_probs = np.log(np.full((5, 4), 0.25))
    with pytest.raises(AlignmentError, match="1 to 65536 characters, but has 0"):
        align_characters(log_probs, np.array([], dtype=np.int64))
    for wrong in ([4], [-1], [1, 0]):
        with pytest.raises(AlignmentError, match="targets must be columns 0 to 3 other than"):
            align_characters(log_probs, np.array(wrong))
    with pytest.raises(AlignmentError, match="NaN"):
        align_characters(log_probs * np.nan, np.array([1]))
