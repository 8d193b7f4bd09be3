"""Words of scripts without spaces between them: Thai, Lao, Khmer, Burmese, by ICU's dictionaries.

ICU comes with icu4py (the extra `gsv2[icu]`); without it such text is cut between characters.
"""

from __future__ import annotations

import re
from importlib.util import find_spec

_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\ua9e0-\ua9ff\uaa60-\uaa7f]")
"""Letters of these scripts: Thai and Lao, Burmese with its extensions, Khmer."""


def needs_dictionary(text: str) -> bool:
    """Tell whether a text has letters of a script whose words only a dictionary knows."""
    return _UNSPACED.search(text) is not None


def word_ends(text: str) -> list[int] | None:
    """Return where words end, as numbers of characters; None without ICU, or without need of it."""
    if not needs_dictionary(text) or find_spec("icu4py") is None:
        return None
    from icu4py.breakers import WordBreaker

    ends, place = [], 0
    for segment in WordBreaker(text, "und"):
        place += len(segment)
        ends.append(place)
    return ends
