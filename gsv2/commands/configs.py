"""`gsv2 configs`: the configs and launch files that come with the package."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from gsv2.shipped import find_config, shipped_configs, shipped_folder

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@app.command("list")
def list_configs() -> None:
    """Print the names of the shipped configs, which `gsv2 train` and others take.

    Example: `gsv2 configs list`
    """
    for name in shipped_configs():
        typer.echo(name)


@app.command("copy")
def copy_configs(
    names: Annotated[
        list[str] | None, typer.Argument(help="e.g. gpt/base [default: all configs]")
    ] = None,
    out: Annotated[Path, typer.Option(help="folder to copy to")] = Path("configs"),
    launch: Annotated[
        bool, typer.Option("--launch", help="copy the files for Slurm, Kubernetes, Accelerate")
    ] = False,
) -> None:
    """Copy shipped configs to OUT/STAGE/NAME.yaml, to be changed; replaces no file.

    `--launch` copies the launch files instead, to OUT.

    Example: `gsv2 configs copy gpt/base --out configs`
    """
    if launch:
        folder = shipped_folder("launch")
        found = [path for path in folder.rglob("*") if path.is_file()]
        files = {path.relative_to(folder): path for path in found if path.suffix != ".pyc"}
    else:
        files = _config_files(names)
    there = [str(out / path) for path in files if (out / path).exists()]
    if there:
        raise ValueError(f"{there[0]} exists already; choose another --out")
    for path, file in sorted(files.items()):
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, out / path)
        typer.echo(out / path)


def _config_files(names: list[str] | None) -> dict[Path, Path]:
    """Return path below `--out` -> shipped file."""
    folder = shipped_folder("configs")
    shipped = shipped_configs()
    files = [shipped.get(name) or find_config(Path(name)) for name in names or shipped]
    for name, file in zip(names or shipped, files, strict=True):
        if not file.is_relative_to(folder):
            raise ValueError(f"{name} is a file of yours, no shipped config")
    return {file.relative_to(folder): file for file in files}
