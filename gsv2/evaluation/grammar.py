"""Grammars of small vocabularies in JSGF (Java Speech Grammar Format), for a recogniser.

A closed grammar asks which of the possible sentences was said, and not what was said: a weak
recogniser answers it well, and chance is low where there are many sentences.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from string import Formatter

_HEAD = "#JSGF V1.0;\ngrammar sentences;\n"
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def template_grammar(templates: Sequence[str], slots: Mapping[str, Sequence[str]]) -> str:
    """Return the grammar of sentences with slots.

    Args:
        templates: sentences with `{slot}`s, e.g. `"{name} has {number} boats."`.
        slots: slot -> what may stand there, one or several words each.

    Raises:
        ValueError: a slot without words.
    """
    rules = {name: [_words(text) for text in texts] for name, texts in slots.items()}
    for name, texts in rules.items():
        if not texts or not all(texts):
            raise ValueError(f"slot {name!r} must have words to choose from, but has {slots[name]}")
    sentences = [_template(text, rules) for text in templates]
    lines = [f"<slot_{name}> = {' | '.join(texts)};" for name, texts in rules.items()]
    return f"{_HEAD}public <sentence> = {' | '.join(sentences)};\n" + "\n".join(lines) + "\n"


def vocabulary_grammar(words: Iterable[str]) -> str:
    """Return the grammar in which words of a vocabulary follow each other in any order."""
    choices = sorted({word for text in words for word in _words(text).split()})
    return f"{_HEAD}public <sentence> = ( {' | '.join(choices)} )+;\n"


def vocabulary(sentences: Iterable[str]) -> list[str]:
    """Return the different words of sentences, as a grammar has them."""
    return sorted({word for text in sentences for word in _words(text).split()})


def _template(text: str, rules: Mapping[str, Sequence[str]]) -> str:
    parts = []
    for said, slot, _, _ in Formatter().parse(text):
        parts.append(_words(said))
        if slot is not None:
            if slot not in rules:
                raise ValueError(f"template {text!r} names the slot {slot!r}, which has no words")
            parts.append(f"<slot_{slot}>")
    return " ".join(part for part in parts if part)


def _words(text: str) -> str:
    """Return a text as the words of a grammar; an apostrophe stays inside its word."""
    return " ".join(_WORD.findall(unicodedata.normalize("NFC", text).lower().replace("’", "'")))
