import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from gsv2.config import load_config
from gsv2.config_numbers import check_finite, check_signs
from gsv2.shipped import shipped_configs
from gsv2.stages import SCHEMAS

_CONFIG = "configs/vits2/debug.yaml"
ALLOWED = {("max_grad_norm", math.inf)}
"""Infinite norms clip nothing."""
SHIPPED = [f"configs/{name}.yaml" for name in shipped_configs()]

Path = tuple[str | int, ...]


def _numbers(wanted: Any, value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield where the numbers of a config stand, also those that are not set."""
    if get_origin(wanted) in (Union, UnionType) and value is None:
        wanted = next(choice for choice in get_args(wanted) if choice is not type(None))
    if is_dataclass(value):
        hints = get_type_hints(type(value))
        for field in fields(value):
            yield from _numbers(hints[field.name], getattr(value, field.name), (*path, field.name))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _numbers(type(item), item, (*path, name))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _numbers(type(item), item, (*path, number))
    elif wanted in (int, float):
        yield path


def _lists(value: Any) -> Any:
    """Return a copy with lists in place of tuples, whose items can be set."""
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, list | tuple) else value


@contextmanager
def _number_at(plain: Any, path: Path, number: float) -> Iterator[None]:
    """Put another number at one place of the values."""
    for part in path[:-1]:
        plain = plain[part]
    before, plain[path[-1]] = plain[path[-1]], number
    yield
    plain[path[-1]] = before


def _name(path: Path) -> str:
    return next(part for part in reversed(path) if isinstance(part, str))


def test_no_number_of_a_shipped_config_may_be_infinite_nan_or_negative() -> None:
    """Each place of each kind of run once: what stands there otherwise plays no part."""
    seen: set[tuple[type, Path]] = set()
    for file in SHIPPED:
        config = load_config(file, [], SCHEMAS)
        plain = _lists(asdict(config))
        places = list(_numbers(type(config), config))
        assert len(places) > 40
        for place in places:
            if (type(config), place) in seen:
                continue
            seen.add((type(config), place))
            for number in (math.nan, math.inf, -math.inf, -1):
                if (_name(place), number) in ALLOWED:
                    continue
                check = check_signs if math.isfinite(number) else check_finite
                refused = pytest.raises(ValueError, match=_name(place))
                with _number_at(plain, place, number), refused:
                    check(plain)


@pytest.mark.parametrize(("value", "first"), [(".nan", 0), (".inf", 1), ("-1", 2)])
@pytest.mark.parametrize("stage", ["quantizer", "gpt", "vits2", "aligner", "joint"])
def test_none_of_them_gets_through_the_command_line(stage: str, value: str, first: int) -> None:
    """A number of each section, the sections shared out among the values: reading takes longest."""
    path = f"configs/{stage}/debug.yaml"
    config = load_config(path, [], SCHEMAS)
    of_section: dict[str | int, Path] = {}
    for place in _numbers(type(config), config):
        is_item = any(isinstance(part, int) for part in place)
        if not is_item and (_name(place), float(value.removeprefix("."))) not in ALLOWED:
            of_section[place[0]] = place
    chosen = list(of_section.values())[first::3]
    assert chosen
    for place in chosen:
        with pytest.raises(ValueError, match=_name(place)):
            load_config(path, [f"{'.'.join(map(str, place))}={value}"], SCHEMAS)


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("data.max_clip_sec=.nan", "data.max_clip_sec"),
        ("data.max_frames=-1", "data.max_frames"),
        ("data.workers=-1", "data.workers"),
        ("data.window_mb=0", "data.window_mb"),
        ("optim.generator.betas=[.nan, 0.9]", "betas"),
        ("optim.generator.betas=[a, 0.9]", r"optim\.generator\.betas\[0\]"),
        ("data.sources=[{path: x, weight: .nan}]", "weight"),
        ("data.sources=[{path: x, weight: -1}]", "weight"),
        ("data.bucket_boundaries=[1.5]", r"data\.bucket_boundaries\[0\]"),
        ("model.generator.channels=0", "channels"),
        ("model.generator.content.block.num_heads=0", "num_heads"),
        ("model.generator.content.num_layers=-1", "num_layers"),
        ("model.generator.mel.sample_rate=-1", "sample_rate"),
        ("model.generator.generator.upsample_rates=[-1, 8]", "upsample_rates"),
        ("model.discriminator.periods=[.nan]", r"model\.discriminator\.periods\[0\]"),
        ("model.discriminator.periods=[x]", r"model\.discriminator\.periods\[0\]"),
        ("model.stft_loss.n_fft=[.inf]", r"model\.stft_loss\.n_fft\[0\]"),
        ("model.discriminator.scale_group_width=0", "scale_group_width"),
        ("model.generator.style.dropout=1.5", "dropout"),
        ("tracking.peak_tflops=.nan", "peak_tflops"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_key(override: str, key: str) -> None:
    with pytest.raises(ValueError, match=key) as error:
        load_config(_CONFIG, [override], SCHEMAS)
    assert "\n" not in str(error.value)
    assert "$VALUE" not in str(error.value)
