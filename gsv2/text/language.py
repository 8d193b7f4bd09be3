"""Language tags (BCP 47, RFC 5646) in one canonical form; names of people and sets are refused.

`langcodes` knows the registry; `cmn` and `zh`, `arb` and `ar` are one language (CLDR's
macrolanguages), since people write both.
"""

from __future__ import annotations

import re
from functools import lru_cache

import langcodes

_TAG = re.compile(r"[A-Za-z0-9]+([-_][A-Za-z0-9]+)*")


class LanguageError(ValueError):
    """A label that is no language tag."""


@lru_cache(maxsize=4096)  # a row must not cost a search in the registry
def canonical_language(label: str) -> str:
    """Return the canonical tag of a label: EN -> en, zh_CN -> zh-CN, cmn -> zh, pt-br -> pt-BR.

    Raises:
        LanguageError: no tag, or a tag with a part that the registry does not know.
    """
    try:
        tag = langcodes.standardize_tag(label.strip(), macro=True)
        is_known = langcodes.tag_is_valid(tag)
    except langcodes.tag_parser.LanguageTagError:
        is_known = False
    if not is_known:
        raise LanguageError(f"language must be a BCP 47 tag like en or zh-Hant, but is {label!r}")
    return tag


def is_language(tag: str) -> bool:
    """Tell whether a text has the form of a language tag: en, zh-Hant, pt_BR."""
    return _TAG.fullmatch(tag) is not None
