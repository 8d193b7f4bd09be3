"""Numbers that no setting of a run may have, whichever section it is in.

Ranges of single settings stand beside their dataclasses; here is what holds for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

_MAY_BE_INFINITE = frozenset({"max_grad_norm"})
"""`max_grad_norm=.inf` clips nothing."""
_ZERO_OF_MODEL = frozenset(
    {
        "adversarial", "alignment_noise", "attention_dropout", "codebook_weights",
        "commitment_weight", "dead_share", "dropout", "duration", "duration_adversarial", "f_min",
        "feature_matching", "kl", "kl_warmup_fraction", "kl_warmup_steps", "level_dropout", "mel",
        "noise_channels", "pitch", "r1", "rank", "self_reference_probability", "start_fraction",
        "start_step", "stft", "style_layer", "text_dropout",
    }
)  # fmt: skip
"""Settings of `model` that 0 turns off; the others are sizes, counts and rates."""
_AT_MOST_1 = frozenset({"dropout", "attention_dropout", "text_dropout"})


def check_finite(values: Any) -> None:
    """Check that no number of a config is NaN or infinite.

    Args:
        values: nested plain values of a run's config.

    Raises:
        ValueError: names the key.
    """
    for key, name, value in _numbers(values):
        if not math.isfinite(value) and not (value == math.inf and name in _MAY_BE_INFINITE):
            raise ValueError(f"{key} must be a finite number, but is {value}")


def check_signs(values: Any) -> None:
    """Check that no number of a config is negative, and no size of a model 0.

    Args:
        values: nested plain values of a run's config.

    Raises:
        ValueError: names the key.
    """
    if wrong := find_wrong_sign(values):
        raise ValueError(wrong.message)


class WrongNumber(NamedTuple):
    """A number that no setting of its name may have."""

    name: str
    """Name of the setting, without its section."""
    message: str
    """Rule and value, with the key."""


def find_wrong_sign(values: Any) -> WrongNumber | None:
    """Return the first number of a config that `check_signs` refuses; None if there is none."""
    for key, name, value in _numbers(values):
        if value < 0:
            return WrongNumber(name, f"{key} must not be negative, but is {value}")
        if value == 0 and key.startswith("model.") and name not in _ZERO_OF_MODEL:
            return WrongNumber(name, f"{key} must be above 0, but is {value}")
        if name in _AT_MOST_1 and value >= 1:
            return WrongNumber(name, f"{key} must lie in [0, 1), but is {value}")
    return None


def _numbers(value: Any, key: str = "", name: str = "") -> Iterator[tuple[str, str, float]]:
    """Yield key, name of the setting and value of each number."""
    if isinstance(value, dict):
        for inner, item in value.items():
            yield from _numbers(item, f"{key}.{inner}" if key else str(inner), str(inner))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _numbers(item, f"{key}[{number}]", name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield key, name, value
