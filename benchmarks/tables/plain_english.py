"""Sentences of a small grammar of plain English, and phrases that a corpus of them holds back.

About 290 words. Every third noun is only ever an object in the training sentences; the held-out
phrases make it their subject: what is held back is a place of known words, not the words.
"""

from __future__ import annotations

import random

_PEOPLE = (
    "teacher doctor farmer sailor baker painter singer driver soldier lawyer neighbour stranger "
    "child mother father brother sister uncle writer hunter king queen captain servant student "
    "nurse judge priest waiter gardener"
).split()
_ANIMALS = "horse dog cat bird sheep rabbit goat duck mouse wolf bear fox".split()
_THINGS = (
    "letter bottle window basket hammer ladder picture blanket candle mirror kettle saddle "
    "bucket jacket pillow carpet lantern wagon barrel pocket button needle trumpet engine "
    "garden bridge cottage fountain orchard village"
).split()
_ADJECTIVES = (
    "old young small large heavy broken golden silver empty yellow narrow wooden quiet gentle "
    "hungry clever lonely famous friendly careful black white green red blue"
).split()
_VERBS = (
    "found carried painted followed watched bought sold repaired washed counted lifted opened "
    "closed noticed covered borrowed returned measured ordered dropped pushed pulled loved "
    "feared wanted remembered forgot described praised ignored"
).split()
_PLACES = (
    "behind the church|near the river|under the table|beside the road|across the valley|"
    "in the kitchen|on the hill|at the market|inside the castle|along the shore|"
    "above the harbour|between the houses|at the station|in the forest|around the corner"
).split("|")
_TIMES = (
    "yesterday|last summer|after dinner|before sunrise|on Monday|every morning|in the evening|"
    "at midnight|during the winter|two weeks ago|last Friday|at noon|in September|long ago"
).split("|")
_ENDINGS = (
    "and nobody knew why|and then it began to rain|because the weather was cold|"
    "but the others laughed|while we were asleep|and said nothing about it|"
    "because it was late|but forgot to pay|before the guests arrived|and everyone was happy"
).split("|")
_NUMBERS = "three four five six seven eight nine ten eleven twelve twenty thirty".split()
OBJECTS_ALONE = frozenset((_PEOPLE + _ANIMALS + _THINGS)[::3])
"""Nouns that are never subjects but in a held-out phrase."""


def sentences(count: int, seed: int) -> list[str]:
    """Return different sentences whose subjects are none of `OBJECTS_ALONE`."""
    subjects = [noun for noun in _PEOPLE + _ANIMALS if noun not in OBJECTS_ALONE]
    return _draw(count, seed, subjects)


def held_back_phrases(count: int, seed: int) -> list[str]:
    """Return different sentences whose subjects are all of `OBJECTS_ALONE`."""
    return _draw(count, seed, sorted(OBJECTS_ALONE.intersection(_PEOPLE + _ANIMALS)))


def _draw(count: int, seed: int, subjects: list[str]) -> list[str]:
    draw = random.Random(seed)
    made: dict[str, None] = {}
    while len(made) < count:
        made[_sentence(draw, subjects)] = None
    return list(made)


def _sentence(draw: random.Random, subjects: list[str]) -> str:
    def noun_phrase(noun: str) -> str:
        adjective = f"{draw.choice(_ADJECTIVES)} " if draw.random() < 0.6 else ""
        return f"the {adjective}{noun}"

    objects = _PEOPLE + _ANIMALS + _THINGS
    what = noun_phrase(draw.choice(objects))
    if draw.random() < 0.25:
        what = f"{draw.choice(_NUMBERS)} {draw.choice(_ADJECTIVES)} {draw.choice(objects)}s"
        what = what.replace("sheeps", "sheep").replace("mouses", "mice").replace("wolfs", "wolves")
        what = what.replace("childs", "children").replace("foxs", "foxes")
    core = f"{noun_phrase(draw.choice(subjects))} {draw.choice(_VERBS)} {what}"
    if draw.random() < 0.6:
        core = f"{core} {draw.choice(_PLACES)}"
    if draw.random() < 0.5:
        time = draw.choice(_TIMES)
        core = f"{time} {core}" if draw.random() < 0.5 else f"{core} {time}"
    if draw.random() < 0.3:
        core = f"{core}, {draw.choice(_ENDINGS)}"
    return f"{core[0].upper()}{core[1:]}."
