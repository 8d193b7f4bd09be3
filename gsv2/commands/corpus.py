"""`gsv2 corpus`: the scripts of data_tools/ as commands, for those who have no checkout."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gsv2.shipped import shipped_folder

if TYPE_CHECKING:
    from gsv2.data.corpus.manifest import Manifest

_SCRIPTS = {
    "build": "build_shards",
    "index": "index_shards",
    "verify": "verify_shards",
    "clean": "clean_shards",
    "extract-codes": "extract_codes",
    "feature-stats": "feature_stats",
    "extract-text": "extract_text",
    "reject-codes": "reject_codes",
    "demo": "make_demo_corpus",
}
"""Command -> script, whose options it has."""


class ScriptCommands(typer.core.TyperGroup):
    """Load a script when its command is called: some load torch."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        return [*_SCRIPTS, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, or None if there is no such command."""
        if cmd_name not in _SCRIPTS:
            return super().get_command(ctx, cmd_name)
        script = _SCRIPTS[cmd_name]
        main = _load(script).main
        theirs, ours = f"python data_tools/{script}.py", f"gsv2 corpus {cmd_name}"
        command = typer.Typer(add_completion=False, rich_markup_mode="markdown")
        command.command(cmd_name, help=main.__doc__.replace(theirs, ours))(main)
        return typer.main.get_command(command)


app = typer.Typer(cls=ScriptCommands, no_args_is_help=True, rich_markup_mode="markdown")


@app.command("describe")
def describe(
    corpus: Annotated[str, typer.Argument(help="folder or URL of a corpus, of audio or of codes")],
    page: Annotated[bool, typer.Option(help="Write its page anew: CORPUS/report.html.")] = False,
) -> None:
    """Print what a corpus holds, by language, from its corpus.json alone.

    Medians are those of `statistics.json`, which a build writes.

    Example: `gsv2 corpus describe runs/quickstart/corpus/train`
    """
    from gsv2.data.building.statistics import read_statistics
    from gsv2.data.corpus.manifest import read_manifest

    for line in _description(corpus, read_manifest(corpus)):
        typer.echo(line)
    statistics = None if "://" in corpus else read_statistics(Path(corpus))
    if statistics is None and not page:
        return
    from gsv2.evaluation.corpus_page import summary_rows, write_corpus_page

    if statistics is not None:
        for title, median in summary_rows(statistics):
            typer.echo(f"  median {title[0].lower()}{title[1:]}: {median}")
    if page:
        typer.echo(f"page: {write_corpus_page(Path(corpus))}")


@app.command("listen")
def listen(
    corpus: Annotated[str, typer.Argument(help="folder of a corpus with audio")],
    out: Annotated[Path, typer.Option(help="Page to write.")] = Path("listen.html"),
    clips: Annotated[int, typer.Option(help="Number of clips, of all languages in turn.")] = 24,
    language: Annotated[str | None, typer.Option(help="Of the clips.")] = None,
    speaker: Annotated[str | None, typer.Option(help="Of the clips.")] = None,
    seed: Annotated[int, typer.Option(help="Of the choice.")] = 0,
) -> None:
    """Write a page with players and texts of clips, chosen at random.

    Example: `gsv2 corpus listen runs/quickstart/corpus/train --out listen.html`
    """
    from gsv2.evaluation.listening_page import ListeningConfig, write_listening_page

    out.parent.mkdir(parents=True, exist_ok=True)
    config = ListeningConfig(clips=clips, language=language, speaker=speaker, seed=seed)
    typer.echo(f"{out}: {write_listening_page(corpus, out, config)} clips")


def _description(corpus: str, manifest: Manifest) -> Iterator[str]:
    """Yield the lines that corpus.json makes."""
    codes = f", quantizer {manifest.quantizer}" if manifest.quantizer else ""
    codes += f", text encoder {manifest.text_encoder}" if manifest.text_encoder else ""
    yield (
        f"{corpus}: {manifest.kind}, {manifest.num_clips} clips, {manifest.hours:.3f} h, "
        f"{manifest.num_speakers} speakers, {len(manifest.shards)} shards{codes}"
    )
    for language, totals in manifest.languages.items():
        yield f"  {language}: {totals['clips']} clips, {totals['hours']:.3f} h"
    for reason, count in manifest.rejected.items():
        yield f"  left out {count}: {reason}"
    for reason, count in manifest.build.get("suspects", {}).items():
        yield f"  suspect {count}: {reason}"


def _load(script: str) -> ModuleType:
    """Import a script by its path: data_tools/ is no package, in a checkout."""
    path = shipped_folder("data_tools") / f"{script}.py"
    spec = importlib.util.spec_from_file_location(script, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
