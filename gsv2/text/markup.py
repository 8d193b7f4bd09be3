"""Markup of texts to speak: `[pause 0.5s]`, and a small subset of SSML 1.1 (W3C, 2010).

Of SSML there are `speak`, `break time`, `prosody rate` and `sub alias`, which are all spoken as
they say; every other element and attribute is refused by its name, since an ignored one would
speak something else than was asked for.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple
from xml.parsers import expat

from gsv2.text.normalize import TextError, is_speakable

MAX_PAUSE_SEC = 60.0
"""Silence that a text may ask for in all."""
PARAGRAPH_SEC = 0.6
"""Silence between paragraphs, which blank lines part."""
_MIN_RATE, _MAX_RATE = 0.25, 4.0
_PAUSE = re.compile(r"\[pause\b([^\]]*)\]", re.IGNORECASE)
_TIME = re.compile(r"\s*\+?(\d{1,6}(?:\.\d{1,6})?)\s*(ms|s)\s*")
_PERCENT = re.compile(r"\s*(\d{1,4}(?:\.\d{1,6})?)%\s*")
_BLANK_LINES = re.compile(r"\n\s*\n")
_SSML = re.compile(r"\s*<(?:\?xml|speak)\b")
_RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "fast": 1.25, "x-fast": 1.5, "default": 1.0}
_ATTRIBUTES = {"speak": (), "break": ("time",), "prosody": ("rate",), "sub": ("alias",)}
_IGNORED = ("version", "xmlns", "xml:lang")
"""Attributes of `speak` that change nothing here: no model takes a language tag."""


class MarkupError(TextError):
    """Markup that cannot be followed; the message names it."""


class ScriptPart(NamedTuple):
    """A part of a text that is spoken at one rate."""

    text: str
    """Text; empty at the end of a script that ends in silence."""
    pause_sec: float | None
    """Silence before it; None = what is natural."""
    rate: float
    """Factor on the speaking rate."""


def parse_script(text: str) -> list[ScriptPart]:
    """Return the parts of a text: SSML if it begins with `<speak`, else plain with pauses.

    Raises:
        MarkupError: markup that cannot be followed, or more than `MAX_PAUSE_SEC` of silence.
        TextError: nothing speakable in it.
    """
    builder = _ScriptBuilder()
    if _SSML.match(text):
        _parse_ssml(text, builder)
    else:
        _parse_plain(text, builder)
    return builder.finish(text)


class _ScriptBuilder:
    """Collects parts; what cannot be spoken alone goes with the text before it."""

    def __init__(self) -> None:
        self._parts: list[ScriptPart] = []
        self._text = ""
        self._pause_sec: float | None = None
        self._rate = 1.0

    def add_text(self, text: str, rate: float = 1.0) -> None:
        if rate != self._rate:
            self._flush()
            self._rate = rate
        self._text += text

    def add_pause(self, seconds: float) -> None:
        self._flush()
        self._pause_sec = (self._pause_sec or 0.0) + seconds

    def finish(self, text: str) -> list[ScriptPart]:
        self._flush()
        if not self._parts:
            raise TextError(f"text must hold at least one letter or digit, but is {text[:80]!r}")
        if self._pause_sec is not None:
            self._parts.append(ScriptPart("", self._pause_sec, 1.0))
        silence = sum(part.pause_sec or 0.0 for part in self._parts)
        if silence > MAX_PAUSE_SEC:
            raise MarkupError(
                f"pauses must be at most {MAX_PAUSE_SEC:g} s in all, but are {silence:g} s"
            )
        return self._parts

    def _flush(self) -> None:
        text, self._text = self._text, ""
        if is_speakable(text):
            self._parts.append(ScriptPart(text, self._pause_sec, self._rate))
            self._pause_sec = None


def _parse_plain(text: str, builder: _ScriptBuilder) -> None:
    """Read `[pause TIME]` and blank lines."""
    place = 0
    for match in _PAUSE.finditer(text):
        _add_paragraphs(text[place : match.start()], builder)
        builder.add_pause(_parse_time(match[1], match[0]))
        place = match.end()
    _add_paragraphs(text[place:], builder)


def _add_paragraphs(text: str, builder: _ScriptBuilder) -> None:
    for number, paragraph in enumerate(_BLANK_LINES.split(text)):
        if number:
            builder.add_pause(PARAGRAPH_SEC)
        builder.add_text(paragraph)


def _parse_ssml(text: str, builder: _ScriptBuilder) -> None:
    rates: list[float] = [1.0]
    inside: list[str] = []
    rates, inside = [1.0], []

    def start(name: str, attributes: dict[str, str]) -> None:
        if (not inside) != (name == "speak"):
            raise MarkupError("SSML must be one element speak that holds all others")
        if inside and inside[-1] in ("break", "sub"):
            raise MarkupError(f"SSML: {inside[-1]} may hold no element, but holds {name!r}")
        _check_element(name, attributes)
        inside.append(name)
        if name == "break":
            builder.add_pause(_parse_time(attributes["time"], "break time"))
        if name == "sub":
            builder.add_text(attributes["alias"], rates[-1])
        rates.append(rates[-1] * (_parse_rate(attributes["rate"]) if name == "prosody" else 1.0))

    def end(_: str) -> None:
        inside.pop()
        rates.pop()

    def add(content: str) -> None:
        if inside[-1] != "sub":
            builder.add_text(content, rates[-1])

    def refuse(*_: object) -> None:
        raise MarkupError("SSML may have no document type and no entities")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = add, refuse
    try:
        parser.Parse(text.strip().encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        raise MarkupError(f"SSML cannot be read: {error}") from error


def _check_element(name: str, attributes: dict[str, str]) -> None:
    """Refuse what is not spoken as it says."""
    if name not in _ATTRIBUTES:
        raise MarkupError(
            f"SSML: element {name!r} is not followed; there are {', '.join(_ATTRIBUTES)}"
        )
    wanted = _ATTRIBUTES[name]
    for attribute in attributes:
        if attribute not in wanted and not (name == "speak" and attribute in _IGNORED):
            raise MarkupError(f"SSML: attribute {attribute!r} of {name} is not followed")
    for attribute in wanted:
        if attribute not in attributes:
            raise MarkupError(f"SSML: {name} must have the attribute {attribute}")


def _parse_time(value: str, where: str) -> float:
    """Return seconds of `0.5s` or `500ms`."""
    match = _TIME.fullmatch(value)
    if match is None:
        raise MarkupError(f"{where} must have a time like 0.5s or 500ms, but has {value[:40]!r}")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


def _parse_rate(value: str) -> float:
    """Return the factor of `slow` or `80%`."""
    match = _PERCENT.fullmatch(value)
    rate = float(match[1]) / 100 if match else _RATES.get(value.strip(), math.nan)
    if not _MIN_RATE <= rate <= _MAX_RATE:
        raise MarkupError(
            f"prosody rate must be {', '.join(_RATES)} or 25% to 400%, but is {value[:40]!r}"
        )
    return rate
