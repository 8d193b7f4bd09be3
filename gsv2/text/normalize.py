"""Text normalisation: one Unicode form of a text, and its sentences, in any script.

No phonemes, no language tag, no number expansion: the model reads what people write.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from gsv2.text.words import word_ends

_CLOSERS = "\"'”’»›)\\]}」』）】〉》"
_SPACED = ".!?…։؟۔"  # end a sentence only before whitespace: 3.5, a.m., example.org
_UNSPACED = "。！？｡．।॥။།༎።፧៕"
_SENTENCE_END = re.compile(
    rf"(?:[{_UNSPACED}]+[{_SPACED}{_UNSPACED}]*[{_CLOSERS}]*"
    rf"|[{_SPACED}]+[{_SPACED}{_UNSPACED}]*[{_CLOSERS}]*(?=\s|$)"
    r"|\n+)"
)
_CLAUSE_END = re.compile(r"[,;:—–](?=\s)|[，、；：،؛፣፤—]")
_SPACE = re.compile(r"[\s\u0f0b]")  # the mark between Tibetan syllables too
_BLANKS = re.compile(r"[\s\ufeff\x00-\x1f\x7f-\x9f\ud800-\udfff]+")  # whitespace, BOM, Cc, Cs
_SPEAKABLE = re.compile(r"[^\W_]")  # categories L and N


class TextError(ValueError):
    """A text that cannot be spoken."""


def normalize_text(text: str) -> str:
    """Return the text in NFC, with every run of whitespace and control characters as one space.

    Joiners inside words (Cf: ZWJ, ZWNJ) stay, since they change letters; byte order marks go.

    Raises:
        TextError: no letter or digit is left to speak.
    """
    clean = unicodedata.normalize("NFC", text)
    if not clean.isprintable() or "  " in clean or clean[:1] == " " or clean[-1:] == " ":
        clean = _BLANKS.sub(" ", clean).strip()
    if _SPEAKABLE.search(clean) is None:
        raise TextError(f"text must hold at least one letter or digit, but is {text[:80]!r}")
    return clean


def is_speakable(text: str) -> bool:
    """Tell whether any letter or digit of any script is in the text."""
    return _SPEAKABLE.search(text) is not None


def split_sentences(text: str, max_bytes: int) -> list[str]:
    """Split a text into sentences that each can be spoken alone.

    Nothing but whitespace between the pieces is lost; a piece without a letter or digit joins
    its neighbour. A sentence longer than `max_bytes` is split at its last comma-like sign that
    fits, else at the last space, else between words of a script without spaces (with the extra
    `gsv2[icu]`), else between characters.

    Args:
        text: any text; line breaks end sentences too.
        max_bytes: UTF-8 bytes of a piece, at least 4. Only a run of combining marks, or of
            unspeakable signs beside a full piece, may exceed it.
    """
    if max_bytes < 4:
        raise ValueError(f"max_bytes must be at least 4, but is {max_bytes}")
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    cuts = [0, *ends, len(text)]
    sentences = [text[start:end] for start, end in pairwise(cuts)]
    return [
        piece
        for sentence in _join_unspeakable(sentences)
        for piece in _join_unspeakable(_split_long(sentence, max_bytes))
    ]


def ends_sentence(text: str) -> bool:
    """Tell whether a text ends with the end of a sentence, and was not cut before."""
    return any(match.end() == len(text) for match in _SENTENCE_END.finditer(text))


def _join_unspeakable(pieces: list[str]) -> list[str]:
    """Append pieces without letters to the one before (the first: to the one after)."""
    joined: list[str] = []
    for piece in pieces:
        if joined and not (is_speakable(piece) and is_speakable(joined[-1])):
            joined[-1] += piece
        else:
            joined.append(piece)
    return [piece.strip() for piece in joined if piece.strip()]


def _split_long(sentence: str, max_bytes: int) -> list[str]:
    pieces = []
    while len(sentence.encode(errors="surrogatepass")) > max_bytes:
        cut = _last_cut(sentence, _fitting(sentence, max_bytes))
        pieces.append(sentence[:cut])
        sentence = sentence[cut:]
    return [*pieces, sentence]


def _fitting(sentence: str, max_bytes: int) -> int:
    """Return how many characters fit into `max_bytes`, at least one."""
    used = 0
    for count, char in enumerate(sentence):
        used += len(char.encode(errors="surrogatepass"))
        if used > max_bytes:
            return max(count, 1)
    return len(sentence)


def _last_cut(sentence: str, limit: int) -> int:
    """Return where to cut at or before `limit` characters."""
    for pattern in (_CLAUSE_END, _SPACE):
        ends = [match.end() for match in pattern.finditer(sentence, 0, limit + 1)]
        fitting = [end for end in ends if end <= limit and is_speakable(sentence[:end])]
        if fitting:
            return fitting[-1]
    fitting = [end for end in word_ends(sentence) or () if end <= limit]
    if fitting and is_speakable(sentence[: fitting[-1]]):
        return fitting[-1]
    cut = limit
    while cut > 1 and _continues(sentence[cut]):
        cut -= 1
    if cut > 1 or not _continues(sentence[1]):
        return cut
    while limit < len(sentence) and _continues(sentence[limit]):
        limit += 1
    return limit


def _continues(char: str) -> bool:
    """Tell whether the character belongs to the one before: marks and joiners."""
    return unicodedata.category(char)[0] == "M" or char in "\u200c\u200d"
