"""Config reference: writes docs/config.md from the dataclasses of all stages.

    python docs/make_config.py

A field's sentence is the string below it in the source. `tests/docs/test_config_page.py` fails
when the page is old, or a field has no sentence.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from gsv2.stages import SCHEMAS

PAGE = Path(__file__).with_name("config.md")

HEAD = """\
# Config

Made by `python docs/make_config.py`; change the dataclasses, not this page.

A run is one YAML file, whose `stage` selects the schema. Values come from the dataclass, then the
file, then `section.key=value` on the command line; unknown keys, wrong types and values that cannot
be meant stop the run by name. The merged config is kept in `RUN/config.yaml`. Each section below is
a dataclass, with the places where a config has it.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(make_page(), encoding="utf-8")


def make_page() -> str:
    """Return the page."""
    return "\n".join([HEAD, *(_section(cls, places) for cls, places in config_places().items())])


def config_places() -> dict[type, list[str]]:
    """Return every config dataclass -> its places: `data.remote`, `model (gpt)`, ..."""
    stages: dict[type, dict[str, list[str]]] = {}
    for stage, schema in SCHEMAS.items():
        for cls, key in _walk(schema, ""):
            of_key = stages.setdefault(cls, {}).setdefault(key, [])
            of_key += [stage] if stage not in of_key else []
    return {
        cls: [_place(key, of, len(SCHEMAS)) for key, of in places.items()]
        for cls, places in stages.items()
    }


def field_sentences(cls: type) -> dict[str, str]:
    """Return field -> the string below it in the source, of a class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not is_dataclass(base):
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(tree, ast.ClassDef)
        for node, below in zip(tree.body, [*tree.body[1:], None], strict=True):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
                text = below.value.value if is_text else None
                if isinstance(text, str):
                    found[node.target.id] = " ".join(text.split())
    return found


def _walk(cls: type, key: str) -> Iterator[tuple[type, str]]:
    """Yield a dataclass, its bases and those of its fields, each with its key, owners first."""
    for base in _bases(cls):
        yield from _walk(base, key)
    yield cls, key
    hints = get_type_hints(cls)
    for field in _own_fields(cls):
        for inner, suffix in _dataclasses(hints[field.name]):
            yield from _walk(inner, f"{key}.{field.name}{suffix}".removeprefix("."))


def _bases(cls: type) -> list[type]:
    return [base for base in cls.__bases__ if is_dataclass(base)]


def _own_fields(cls: type) -> list[Field[Any]]:
    """Return the fields that a class adds to its bases, or changes."""
    own = inspect.get_annotations(cls)
    return [field for field in fields(cls) if field.name in own]


def _dataclasses(hint: Any) -> Iterator[tuple[type, str]]:
    """Yield the dataclasses of a type, and what stands behind the field's name in their keys."""
    if is_dataclass(hint):
        yield hint, ""  # type: ignore[misc]  # it may be an instance, by its type
    inner = get_args(hint)
    suffix = {dict: ".NAME", list: "[]"}.get(get_origin(hint), "")
    for one in inner:
        yield from ((cls, suffix + rest) for cls, rest in _dataclasses(one))


def _place(key: str, stages: list[str], num_stages: int) -> str:
    name = f"`{key}`" if key else "the whole file"
    return name if len(stages) == num_stages else f"{name} ({', '.join(stages)})"


def _section(cls: type, places: list[str]) -> str:
    purpose = (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")
    links = " and ".join(_type(base) for base in _bases(cls))
    more = f" It has the keys of {links} too." if links else ""
    lines = [f"## {cls.__name__}", "", f"At {', '.join(places)}. {purpose}{more}", ""]
    if _own_fields(cls):
        lines += ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    hints, sentences = get_type_hints(cls), field_sentences(cls)
    for field in _own_fields(cls):
        cells = (_type(hints[field.name]), _default(field), sentences.get(field.name, ""))
        row = " | ".join(cell.replace("|", "\\|") for cell in (f"`{field.name}`", *cells))
        lines.append(f"| {row} |")
    return "\n".join([*lines, ""])


def _type(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        name = hint.__name__  # type: ignore[union-attr]  # a class, as asked above
        return f"[{name}](#{name.lower()})"
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if NoneType in inner:
        return f"{', '.join(_type(one) for one in inner if one is not NoneType)} or null"
    if origin is dict:
        return f"name -> {_type(inner[1])}"
    if origin in (list, tuple):
        return f"list of {_type(inner[0])}"
    return hint.__name__


def _default(field: Field[Any]) -> str:
    if field.default is not MISSING:
        return f"`{_shown(field.default)}`"
    if field.default_factory is MISSING:
        return "required"
    value = field.default_factory()
    text = _shown(value)
    return f"`{text}`" if text != "{}" or not is_dataclass(value) else ""


def _shown(value: Any) -> str:
    """Return a value as YAML would have it; of a dataclass what its own defaults do not say."""
    if is_dataclass(value) and not isinstance(value, type):
        given = {f.name: getattr(value, f.name) for f in fields(value)}
        return _shown({name: v for name, v in given.items() if v != _own_default(value, name)})
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shown(v)}" for key, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_shown(v) for v in value) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) or '""'


def _own_default(value: Any, name: str) -> Any:
    field = type(value).__dataclass_fields__[name]
    if field.default is not MISSING:
        return field.default
    return None if field.default_factory is MISSING else field.default_factory()


if __name__ == "__main__":
    main()
