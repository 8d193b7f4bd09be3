"""Sentences from templates: the grammar of a language, and which of its sentences are spoken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from random import Random
from string import Formatter
from typing import NamedTuple

_NUM_CANDIDATES = 128  # compared for every pick


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """Templates of one language."""

    language: str
    """Label in the corpus (ISO 639-1)."""
    espeak: str
    """Name of the language in espeak-ng."""
    script: str
    """Code of its script (ISO 15924)."""
    tempo: float
    """Factor on a voice's rate, so that clips of all languages last about equally long."""
    templates: tuple[str, ...]
    """Sentences with `{slot}`s; no slot occurs twice in one."""
    slots: Mapping[str, tuple[str, ...]]
    """Words for each slot."""


class FilledTemplate(NamedTuple):
    """A filled template."""

    text: str
    words: tuple[tuple[str, str], ...]
    """(slot, word) pairs that fill the template."""


class SentenceSplit(NamedTuple):
    """Sentences that train and sentences that are held out; they have none in common."""

    train: list[FilledTemplate]
    heldout: list[FilledTemplate]


def sentences(grammar: Grammar) -> list[list[FilledTemplate]]:
    """Return every sentence of a grammar, a list for each template."""
    return [_fill(template, grammar.slots) for template in grammar.templates]


def draw_sentences(
    grammar: Grammar, *, num_train: int, num_heldout: int, seed: int
) -> SentenceSplit:
    """Choose sentences so that held-out ones are new combinations of trained words.

    Templates take turns, and among random candidates the one with the words least used so far
    is taken: a few dozen training sentences already hold every word.

    Args:
        grammar: grammar of a language.
        num_train: number of training sentences; more than there are repeat in turn.
        num_heldout: number of held-out sentences, all different.
        seed: seed of the choice.

    Raises:
        ValueError: too many held-out sentences for the grammar.
    """
    random = Random(f"{seed}/{grammar.language}")
    pools = sentences(grammar)
    for pool in pools:
        random.shuffle(pool)
    available = sum(map(len, pools))
    if num_heldout > available // 2:
        raise ValueError(
            f"the grammar of {grammar.language!r} holds out at most {available // 2} sentences, "
            f"but {num_heldout} were asked for"
        )
    heldout = _pick(pools, num_heldout)
    distinct = _pick(pools, min(num_train, available - num_heldout))
    train = [distinct[i % len(distinct)] for i in range(num_train)]
    return SentenceSplit(train, heldout)


def _fill(template: str, slots: Mapping[str, Sequence[str]]) -> list[FilledTemplate]:
    names = [name for _, name, _, _ in Formatter().parse(template) if name]
    combinations = product(*(slots[name] for name in names))
    choices = (tuple(zip(names, words, strict=True)) for words in combinations)
    return [FilledTemplate(template.format(**dict(words)), words) for words in choices]


def _pick(pools: list[list[FilledTemplate]], count: int) -> list[FilledTemplate]:
    """Take `count` sentences out of the shuffled pools."""
    used: Counter[tuple[str, str]] = Counter()
    picked: list[FilledTemplate] = []
    turn = 0
    while len(picked) < count:
        pool = pools[turn % len(pools)]
        turn += 1
        if not pool:
            continue
        candidates = pool[:_NUM_CANDIDATES]
        index = min(range(len(candidates)), key=lambda i: _familiarity(candidates[i], used))
        sentence = pool.pop(index)
        used.update(sentence.words)
        picked.append(sentence)
    return picked


def _familiarity(sentence: FilledTemplate, used: Counter[tuple[str, str]]) -> float:
    return sum(used[word] for word in sentence.words) / len(sentence.words)
