"""Index a WebDataset that others made, so that it can be trained on as it is.

Examples:
    python data_tools/index_shards.py --corpus emilia --field text=text --field speaker=speaker
    python data_tools/index_shards.py --corpus lj --language en --speaker lj --out corpora/lj
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gsv2.data.corpus.manifest import Manifest
from gsv2.data.indexing.corpus import ADVICE, index_corpus
from gsv2.data.indexing.format import AUDIO_SUFFIXES, ArchiveFormat
from gsv2.data.indexing.survey import REJECTED_NAME
from gsv2.data.process_pool import ShardPool
from gsv2.training.telemetry.progress import counting_bar

_FIELDS = ("text", "language", "speaker")


Out = Annotated[
    Path | None, typer.Option(help="Folder of indexes and links to the tars; default: CORPUS.")
]
AudioSuffixes = Annotated[
    list[str], typer.Option(help="Suffix of audio; the first that a clip has is taken.")
]
Fields = Annotated[
    list[str], typer.Option(help="Field of the JSON: text=sentence, speaker=meta.spk.")
]
RecordingPattern = Annotated[
    str, typer.Option(help="The same: clips of a recording without speaker share a voice.")
]


def main(
    corpus: Annotated[Path, typer.Option(help="Folder with tars, at any depth; only read.")],
    out: Out = None,
    audio: AudioSuffixes = list(AUDIO_SUFFIXES),  # noqa: B006 - typer copies it
    codes: Annotated[str, typer.Option(help="Suffix of codes, uint16 [K, T].")] = "codes.npy",
    text_suffix: Annotated[str, typer.Option(help="Suffix of plain transcripts.")] = "txt",
    field: Fields = [],  # noqa: B006 - typer copies it
    language: Annotated[str, typer.Option(help="Of clips whose JSON names none.")] = "",
    language_from_folder: Annotated[bool, typer.Option(help="As --language, per folder.")] = False,
    speaker: Annotated[str, typer.Option(help="Of clips that name none.")] = "",
    speaker_from_key: Annotated[str, typer.Option(help="Regular expression with a group.")] = "",
    recording_from_key: RecordingPattern = "",
    prefix_keys: Annotated[bool, typer.Option(help="Keys count inside a tar only.")] = False,
    block_clips: Annotated[int, typer.Option(help="Clips of one speaker in a block.")] = 16,
    decode: Annotated[bool, typer.Option(help="Decode all audio: finds NaN.")] = False,
    allow_damaged: Annotated[bool, typer.Option(help="Index what precedes damage.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace what other tools made.")] = False,
    workers: Annotated[int, typer.Option(help="Processes that scan tars.", min=0)] = 0,
) -> None:
    """Write an index for every tar and corpus.json; unchanged tars are not read again.

    Example: python data_tools/index_shards.py --corpus lj --language en --speaker lj
    """
    try:
        form = ArchiveFormat(
            audio_suffixes=tuple(_suffix(name) for name in audio),
            codes_suffix=_suffix(codes), text_suffix=_suffix(text_suffix),
            language=language, language_from_folder=language_from_folder,
            speaker=speaker, speaker_pattern=speaker_from_key,
            recording_pattern=recording_from_key, prefix_keys=prefix_keys,
            block_clips=block_clips, decode=decode, **_field_options(field),
        )  # fmt: skip
        with counting_bar("tars") as progress:
            pool = ShardPool(workers=workers, progress=progress)
            manifest = index_corpus(
                corpus, form, out=out, allow_damaged=allow_damaged, overwrite=overwrite, pool=pool
            )
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    _report(manifest, out or corpus)


def _suffix(name: str) -> str:
    return name.lower().removeprefix(".")


def _field_options(options: list[str]) -> dict[str, str]:
    """Parse `NAME=FIELD` options."""
    fields = {}
    for option in options:
        name, _, path = option.partition("=")
        if name not in _FIELDS or not path:
            raise ValueError(f"--field must be one of {', '.join(_FIELDS)} = FIELD, not {option!r}")
        fields[f"{name}_field"] = path
    return fields


def _report(manifest: Manifest, folder: Path) -> None:
    print(
        f"{folder}: {manifest.num_clips} clips, {manifest.hours:.3f} h, "
        f"{manifest.num_speakers} speakers, {len(manifest.shards)} shards"
    )
    for language, totals in manifest.languages.items():
        print(f"  {language}: {totals['clips']} clips, {totals['hours']:.3f} h")
    for reason, count in manifest.rejected.items():
        print(f"  rejected {count}: {reason}")
    for file in manifest.build["left_alone"]:
        print(f"  left alone: {file}: {ADVICE}")
    if manifest.rejected:
        print(f"  what was rejected is named in {folder / REJECTED_NAME}")


if __name__ == "__main__":
    typer.run(main)
