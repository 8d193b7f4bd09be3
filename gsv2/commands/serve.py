"""`gsv2 serve`: a bundle behind HTTP, as clients of OpenAI's speech interface expect it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gsv2.commands.evaluate import CANDIDATES_HELP
from gsv2.text.language import canonical_language

if TYPE_CHECKING:
    from gsv2.serve.bundle_speaker import BundleSpeaker
    from gsv2.serve.voices import ServedVoice

logger = logging.getLogger(__name__)

_MISSING = "needs FastAPI, uvicorn, PyAV and wyoming: pip install 'gsv2[serve]'"
_VOICE_HELP = (
    "recording, voice file, or a folder of them; NAME.txt beside NAME.wav is what it says; repeat "
    "for several"
)
_TOKEN_HELP = "key that clients must send"
_WYOMING_HELP = "port for Wyoming clients (Home Assistant), e.g. 10200"
_LANGUAGE_HELP = "language that Wyoming clients are told; repeat for several (default: en)"


def serve(
    bundle: Annotated[Path, typer.Option(help="bundle folder")],
    voice: Annotated[list[Path] | None, typer.Option(help=_VOICE_HELP)] = None,
    host: Annotated[str, typer.Option(help="address to listen at")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen at", min=0, max=65535)] = 8000,
    token: Annotated[str | None, typer.Option(envvar="GSV2_TOKEN", help=_TOKEN_HELP)] = None,
    candidates: Annotated[int, typer.Option(help=CANDIDATES_HELP, min=1)] = 1,
    wyoming_port: Annotated[int | None, typer.Option(help=_WYOMING_HELP)] = None,
    language: Annotated[list[str] | None, typer.Option(help=_LANGUAGE_HELP)] = None,
    max_waiting: Annotated[int, typer.Option(help="requests that may wait", min=0)] = 16,
    max_request_sec: Annotated[float, typer.Option(help="time that a request has in all")] = 300.0,
) -> None:
    """Speak for clients of OpenAI's speech interface.

    Voices are recordings and voice files that are named here, or recordings that clients send;
    these live in memory, until the server stops. One text is spoken at a time, others wait.

    Example: `gsv2 serve --bundle runs/quickstart/bundle --voice VOICE.wav`
    """
    if missing := missing_packages(with_wyoming=wyoming_port is not None):
        raise ValueError(f"gsv2 serve {_MISSING} (not there: {', '.join(missing)})")
    if token is not None and wyoming_port is not None:
        raise ValueError("--wyoming-port and --token exclude each other: Wyoming knows no keys")
    from gsv2.serve.app import WyomingAddress, make_app
    from gsv2.serve.limits import ServerLimits
    from gsv2.serve.server import run_server
    from gsv2.serve.service import SpeechService

    limits = ServerLimits(max_waiting=max_waiting, max_request_sec=max_request_sec)
    speaker = _load_speaker(bundle, candidates)
    voices = list(load_voices(voice or [], speaker))
    if token is None and not _is_loopback(host):
        logger.warning("everybody who reaches %s may speak: --token asks for a key", host)
    named = ", ".join(v.name for v in voices) or "none yet: POST /v1/audio/voices"
    logger.info("http://%s:%d speaks; voices: %s", host, port, named)
    wyoming = None
    if wyoming_port is not None:
        tags = tuple(canonical_language(tag) for tag in language or ["en"])
        wyoming = WyomingAddress(host=host, port=wyoming_port, languages=tags)
    service = SpeechService(speaker, voices, limits)
    run_server(make_app(service, token, wyoming), host, port, limits.stop_sec)


def missing_packages(*, with_wyoming: bool) -> list[str]:
    """Return what a server needs and is not installed."""
    needed = ["fastapi", "uvicorn", "av", *(["wyoming"] if with_wyoming else [])]
    return [name for name in needed if find_spec(name) is None]


def _load_speaker(bundle: Path, candidates: int) -> BundleSpeaker:
    from gsv2.inference.open_synthesizer import open_synthesizer
    from gsv2.inference.sampling import SamplingConfig
    from gsv2.serve.bundle_speaker import BundleSpeaker

    return BundleSpeaker(open_synthesizer(bundle), SamplingConfig(candidates=candidates))


def load_voices(paths: Sequence[Path], speaker: BundleSpeaker) -> Iterator[ServedVoice]:
    """Yield the voices of recordings, voice files and folders of them, by the files' names.

    Raises:
        ValueError: a file gives no voice, or two have one name; names it.
    """
    from gsv2.inference.voice_file import SUFFIX, is_voice_file
    from gsv2.serve.voices import ServedVoice

    names: dict[str, Path] = {}
    for path in _recordings(paths):
        name = path.name.removesuffix(SUFFIX) if is_voice_file(path) else path.stem
        if (other := names.setdefault(name.casefold(), path)) != path:
            raise ValueError(f"{other} and {path} would both be the voice {name!r}; rename one")
        yield ServedVoice(id=name, name=name, references=_references(path, speaker))


def _references(path: Path, speaker: BundleSpeaker) -> Sequence[Any]:
    from gsv2.inference.voice_file import is_voice_file

    if is_voice_file(path):
        return speaker.load(path)
    beside = path.with_suffix(".txt")
    text = beside.read_text(encoding="utf-8") if beside.is_file() else None
    return speaker.enroll(path.read_bytes(), str(path), text)


def _recordings(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.is_file())
            found = [file for file in inside if file.suffix != ".txt" and file.name[0] != "."]
            if not found:
                raise ValueError(f"{path} holds no recording")
            yield from found
        elif path.is_file():
            yield path
        else:
            raise ValueError(f"voice {path} does not exist")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
