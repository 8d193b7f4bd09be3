"""Command line `gsv2 ...`: each command is thin over the function that it names."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.logging import RichHandler

from gsv2.caches import set_cache_folders
from gsv2.commands import (
    align,
    configs,
    convert,
    corpus,
    detect,
    evaluate,
    fit,
    importing,
    inspect,
    push,
    serve,
    synthesize,
    voice,
)

Config = Annotated[
    Path, typer.Argument(help="YAML file of the run, or a shipped config, e.g. gpt/debug")
]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="overrides, e.g. trainer.max_steps=100 optim.gpt.lr=1e-3")
]


class OneLineErrors(typer.core.TyperGroup):
    """Command group whose errors are one line; `--debug` anywhere shows the traceback."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take `--debug` out of the arguments, wherever it stands."""
        ctx.obj = "--debug" in args
        return super().parse_args(ctx, [arg for arg in args if arg != "--debug"])

    def invoke(self, ctx: Any) -> Any:
        """Run the command; ValueError and OSError are the user's errors, all others ours."""
        try:
            return super().invoke(ctx)
        except typer.Exit as stop:  # scripts of data_tools/ print their own errors
            if ctx.obj and stop.__cause__ is not None:
                raise stop.__cause__ from None
            raise
        except (ValueError, OSError, ImportError, RuntimeError) as error:
            from gsv2.libraries import unloadable

            is_ours = isinstance(error, ImportError | RuntimeError)
            of_loader = isinstance(error, OSError) and error.errno is None  # as of dlopen
            line = unloadable() if is_ours or of_loader else None
            if ctx.obj or (is_ours and line is None):
                raise
            typer.echo(f"gsv2: error: {line or error}", err=True)
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=OneLineErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Train GPT-SoVITS2 and speak with it. `--debug` shows tracebacks.",
)
app.command()(align.align)
app.command()(detect.detect)
app.command()(evaluate.evaluate)
app.command()(inspect.inspect)
app.command()(fit.fit)
app.command()(push.push)
app.command("import")(importing.import_checkpoint)
app.command()(serve.serve)
app.command()(synthesize.synthesize)
app.command()(convert.convert)
app.add_typer(corpus.app, name="corpus", help="Build, index, check and encode corpora.")
app.add_typer(voice.app, name="voice", help="Make and mix voices as files.")
app.add_typer(configs.app, name="configs", help="List or copy the configs that come with gsv2.")


@app.callback()
def _setup() -> None:
    set_cache_folders(os.environ)
    from gsv2.training.telemetry.progress import console

    handler = RichHandler(console=console(), show_path=False, markup=False)
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", datefmt="[%X]", handlers=[handler]
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    for name in ("onnx_ir", "onnxscript"):  # a line for every pass over a graph
        logging.getLogger(name).setLevel(logging.WARNING)


@app.command()
def quickstart(
    out: Annotated[Path, typer.Option(help="folder of everything made")] = Path("runs/quickstart"),
    seed: Annotated[int, typer.Option(help="seed of the corpus and of all training")] = 0,
    scale: Annotated[
        float, typer.Option(help="fraction of corpus and steps; below 1 only shows that it runs")
    ] = 1.0,
) -> None:
    """Corpus, shards, training of all parts, a bundle, speech and a report, in minutes.

    Run again after an interruption, it continues where it stopped.

    Example: `gsv2 quickstart --out runs/quickstart`
    """
    from gsv2.quickstart.pipeline import run_quickstart

    served = None
    if not serve.missing_packages(with_wyoming=False):
        from gsv2.serve.loopback import serve_on_loopback

        served = serve_on_loopback
    report = run_quickstart(out, seed=seed, scale=scale, serve=served)
    typer.echo(f"report: {report}")


@app.command()
def train(config: Config, overrides: Overrides = None) -> None:
    """Train one stage in this process.

    On several ranks: `accelerate launch -m gsv2.train CONFIG [key=value ...]`.

    Example: `gsv2 train configs/quantizer/debug.yaml trainer.max_steps=100`
    """
    from gsv2.training.faults.signals import exit_at_signal

    exit_at_signal()  # before imports of seconds
    from gsv2.train import main

    run = main(config, overrides or [])
    typer.echo(f"run: {run}")


@app.command()
def plan(
    config: Config,
    overrides: Overrides = None,
    world: Annotated[int, typer.Option(help="number of ranks", min=1)] = 1,
    workers: Annotated[int, typer.Option(help="DataLoader workers of a rank", min=0)] = 0,
    start: Annotated[int, typer.Option(help="first micro-batch", min=0)] = 0,
    steps: Annotated[int, typer.Option(help="optimizer steps to print", min=1)] = 10,
    summary: Annotated[bool, typer.Option("--summary", help="print one epoch in figures")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the summary as JSON")] = False,
    check: Annotated[
        Path | None, typer.Option(help="run folder: compare what it has read with the plan")
    ] = None,
) -> None:
    """Print the micro-batches that a run would read, one JSON object a line; reads no audio.

    `--summary` prints clips, hours, sequences, padding and steps of an epoch, by language.
    `--check RUN` compares the ledger of a run of this config with the plan, and exits with 1 if
    a clip of a finished epoch was lost or read twice.

    Example: `gsv2 plan configs/gpt/debug.yaml --world 2 --steps 3`
    """
    from gsv2.commands.plan import BatchRange, show_plan

    batches = BatchRange(world=world, workers=workers, start=start, steps=steps)
    if not show_plan(config, overrides or [], batches, check, summary=summary, as_json=as_json):
        raise typer.Exit(1)


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="folder of runs, at any depth")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List runs with their last figures: state, step, losses, validation, hours, speed.

    Example: `gsv2 runs runs/quickstart`
    """
    from gsv2.commands.runs import show_runs

    show_runs(folder, as_json=as_json)


@app.command()
def doctor(
    config: Annotated[Path | None, typer.Argument(help="also check this run's config")] = None,
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Check the machine, and a config before its run; exit code 1 if something must be mended.

    Example: `gsv2 doctor configs/gpt/debug.yaml`
    """
    from gsv2.commands.doctor import show_findings

    if not show_findings(config, overrides or [], as_json=as_json):
        raise typer.Exit(1)


@app.command()
def export(
    runs: Annotated[
        list[Path],
        typer.Argument(help="runs: quantizer, GPT, VITS2, any aligner; or a bundle"),
    ],
    out: Annotated[Path, typer.Option(help="bundle folder to write")],
    ema: Annotated[
        bool | None,
        typer.Option(help="take the averages of the weights, or the last ones [default: averages]"),
    ] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="write graphs too, for gsv2 synthesize --engine onnx")
    ] = False,
) -> None:
    """Gather trained parts into a bundle, after checking that they belong together.

    Where a run keeps moving averages of its weights (`optim.NAME.ema_decay`), these are taken. A
    bundle made of a bundle keeps its evaluation.

    Example: `gsv2 export runs/quickstart/quantizer runs/quickstart/gpt runs/quickstart/vits2
    --out runs/quickstart/bundle`
    """
    from gsv2.evaluation.bundle_evaluation import carry_evaluation
    from gsv2.inference.bundle import export_bundle

    made = export_bundle(runs, out, averaged=ema, with_graphs=onnx)
    carry_evaluation(runs, made)
    typer.echo(f"bundle: {made}")


if __name__ == "__main__":
    app()
