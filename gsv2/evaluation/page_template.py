"""Templates of pages that need no network: their look, their sounds and how numbers are written."""

from __future__ import annotations

import math
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.evaluation.sounds import draw_spectrogram, embed_audio, embed_speech


def page_template(path: Path) -> Template:
    """Return a template; it may include `page_style.css` and import from `page_macros.html.j2`.

    Filters: `number`, `duration` of seconds; of a wave [N] at the corpus' sample rate `seconds`,
    `audio` (lossless), `speech` (small) and `spectrogram`.
    """
    environment = Environment(
        loader=FileSystemLoader([path.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=format_number,
        duration=format_duration,
        spectrogram=draw_spectrogram,
        audio=embed_audio,
        speech=embed_speech,
        seconds=lambda wave: len(wave) / SAMPLE_RATE,
    )
    return environment.get_template(path.name)


def format_number(value: float) -> str:
    """Write a number with three significant digits, as the page shows it."""
    if isinstance(value, int) or not math.isfinite(value):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def format_duration(seconds: float) -> str:
    """Write `12.3 s` or `6 min 12 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"
