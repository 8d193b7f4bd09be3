"""Rules of CONTRIBUTING.md that no linter checks."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import get_args

ROOT = Path(__file__).parents[1]
FOLDERS = ("gsv2", "data_tools", "launch", "benchmarks", "examples")
MAX_FILE_LINES = 250
MAX_FUNCTION_LINES = 40
"""Without the docstring."""
MAX_ARGUMENTS = 6
COMMANDS = ("gsv2/cli.py", "gsv2/commands/", "data_tools/")
"""Where the arguments of a function are the options of a command."""
SIGNATURES_OF_OTHERS = {"_attention", "_convolution_backward"}
"""Functions that transformers and torch call with arguments of their own."""

FORMER_NAMES = frozenset(
    "unison settle boxes lent lending rehearse lookahead told noted slab draft deal".split()
)
"""Words for which the field has others; docs/glossary.md has those."""

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def modules() -> dict[str, ast.Module]:
    """Return the path and tree of each module."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return {p.relative_to(ROOT).as_posix(): ast.parse(p.read_text("utf-8")) for p in paths}


@cache
def nodes() -> list[tuple[str, ast.AST]]:
    """Return the path of each module with each node of its tree that has a name."""
    kinds = (*get_args(FunctionNode), ast.ClassDef, ast.Import, ast.ImportFrom, ast.arg, ast.Name)
    return [
        (path, node)
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, (*kinds, ast.Attribute))
    ]


@cache
def definitions() -> list[tuple[str, FunctionNode | ast.ClassDef]]:
    """Return the path and node of each function and class."""
    kinds = (*get_args(FunctionNode), ast.ClassDef)
    return [(path, node) for path, node in nodes() if isinstance(node, kinds)]


def functions() -> Iterator[tuple[str, FunctionNode]]:
    """Yield the place of each function, and the function."""
    for path, node in definitions():
        if isinstance(node, FunctionNode):
            yield f"{path}:{node.lineno} {node.name}", node


def num_lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_merge_was_left_half_done() -> None:
    marks = ("<" * 7 + " ", ">" * 7 + " ")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for pattern in ("*.md", "docs/**/*.md", "configs/**/*.yaml", "launch/**/*", "Makefile")
        for path in sorted(ROOT.glob(pattern))
        if path.is_file() and "__pycache__" not in path.parts
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if line.startswith(marks)
    ]
    assert not found


def test_a_file_has_at_most_250_lines() -> None:
    lines = {path: (ROOT / path).read_text("utf-8").count("\n") for path in modules()}
    assert {path: count for path, count in lines.items() if count > MAX_FILE_LINES} == {}


def test_a_function_has_at_most_40_lines_beside_its_docstring() -> None:
    long = []
    for place, node in functions():
        documented = ast.get_docstring(node) is not None
        lines = num_lines(node) - (num_lines(node.body[0]) if documented else 0)
        if lines > MAX_FUNCTION_LINES:
            long.append(f"{place}: {lines} lines")
    assert long == []


def test_a_function_has_at_most_6_arguments() -> None:
    many = []
    for place, node in functions():
        of = node.args
        names = [argument.arg for argument in (*of.posonlyargs, *of.args, *of.kwonlyargs)]
        count = len([name for name in names if name not in ("self", "cls")])
        is_other = place.startswith(COMMANDS) or node.name in SIGNATURES_OF_OTHERS
        if count > MAX_ARGUMENTS and not is_other:
            many.append(f"{place}: {', '.join(names)}")
    assert many == []


def test_every_field_of_a_config_has_a_docstring() -> None:
    bare = []
    for path, node in definitions():
        if isinstance(node, ast.ClassDef) and node.name.endswith("Config"):
            bare += [
                f"{path}:{field.lineno} {ast.unparse(field.target)}"
                for field, after in zip(node.body, [*node.body[1:], None], strict=True)
                if isinstance(field, ast.AnnAssign) and not _is_docstring(after)
            ]
    assert bare == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports of types alone and within functions count; the sorter names a cycle."""
    names = {_module_name(path) for path in modules()}
    graph: dict[str, set[str]] = {}
    for path, node in nodes():
        if isinstance(node, ast.Import):
            imported = {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            imported = inside & names or {str(node.module)}
        else:
            continue
        graph.setdefault(_module_name(path), set()).update(imported & names)
    TopologicalSorter(graph).prepare()


def test_names_are_those_that_the_field_knows() -> None:
    former = []
    for path, node in nodes():
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.arg(arg=name):
                words = name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                words = name
            case _:
                continue
        if FORMER_NAMES & set(words.lower().strip("_").split("_")):
            former.append(f"{path}: {words}")
    assert former == []


def _module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _is_docstring(node: ast.stmt | None) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
