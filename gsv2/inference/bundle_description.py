"""`bundle.json`: what a bundle's files are, by their hashes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gsv2.files import write_atomically
from gsv2.inference.bundle_parts import OPTIONAL_PARTS, PARTS, TEXT_PARTS
from gsv2.inference.reading import HeldOutReading
from gsv2.models.component import ComponentError, parse_object
from gsv2.models.config_values import build_config
from gsv2.text.encoders.config import TOKENIZER
from gsv2.version import __version__

BUNDLE_VERSION = 1
FILE = "bundle.json"
_MAX_BYTES = 64 * 1024
"""A longer description is none."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TYPES = {"format_version": int, "gsv2_version": str, "quantizer": str, "files": dict}
_OPTIONAL_TYPES = {"reading": dict, "speech_encoder": dict, "text_encoder": dict}
FILES = tuple(f"{kind}.safetensors" for kind in PARTS)
"""Names of the files of every bundle with a quantizer."""
TEXT_FILES = tuple(f"{kind}.safetensors" for kind in TEXT_PARTS)
"""Names of the files of a bundle without one, whose waveform model reads text; it has no others."""
GPT_STEP = "gpt_step.onnx"
"""Name of the graph of one step of the GPT."""
GENERATOR = "generator.onnx"
"""Name of the graph of the generator."""
GRAPHS = (GPT_STEP, GENERATOR)
OPTIONAL_FILES = (*(f"{kind}.safetensors" for kind in OPTIONAL_PARTS), TOKENIZER, *GRAPHS)
"""Names of the files that a bundle may have; there are no others."""


class BundleError(ValueError):
    """A bundle that cannot be made or read."""


@dataclass(frozen=True, kw_only=True)
class BundleDescription:
    """The content of `bundle.json`."""

    quantizer: str | None
    """Hash of the quantizer that all parts share; None where the waveform model reads text."""
    files: Mapping[str, str]
    """Name -> SHA-256, for every name in `FILES`, and any in `OPTIONAL_FILES`; without a quantizer
    for every name in `TEXT_FILES`."""
    reading: HeldOutReading | None = None
    """What was heard of the GPT when it was last listened to; None if nobody did."""
    speech_encoder: Mapping[str, Any] | None = None
    """`name`, `source`, `layer`, `num_features` and `sha256` of the pretrained speech encoder,
    whose weights are too large to be copied; None where the encoder has none."""
    text_encoder: Mapping[str, Any] | None = None
    """`name`, `source`, `dim` and `sha256` of the frozen text encoder, or `size` and the others of
    a tokenizer, whose file is in the bundle; None where the GPT reads bytes."""


def write_description(folder: Path, description: BundleDescription) -> None:
    """Write `bundle.json` into a bundle."""
    values: dict[str, Any] = {
        "format_version": BUNDLE_VERSION,
        "gsv2_version": __version__,
        "quantizer": description.quantizer,
        "files": dict(description.files),
    }
    if description.quantizer is None:
        del values["quantizer"]
    if description.reading is not None:
        values["reading"] = asdict(description.reading)
    for key in ("speech_encoder", "text_encoder"):
        if (encoder := getattr(description, key)) is not None:
            values[key] = dict(encoder)
    write_atomically(folder / FILE, json.dumps(values, indent=2) + "\n")


def read_bundle_description(folder: Path) -> BundleDescription:
    """Read `bundle.json` and check every value of it.

    Raises:
        BundleError: no bundle there, another format, or a key that is missing, unknown or of
            another type; the message names the file and the key.
    """
    path = folder / FILE
    if not path.is_file():
        raise BundleError(f"{folder} is not a bundle: it has no {FILE} (make one: gsv2 export)")
    with path.open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise BundleError(f"{path} must have at most {_MAX_BYTES} bytes, but has more")
    try:
        values = parse_object(content.decode(), str(path))
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} must be UTF-8 text, but is not: {error}") from error
    except ComponentError as error:
        raise BundleError(str(error)) from error
    _check_types(path, values)
    return BundleDescription(
        quantizer=values.get("quantizer"),
        files=_check_files(path, values),
        reading=_read_reading(path, values),
        speech_encoder=values.get("speech_encoder"),
        text_encoder=values.get("text_encoder"),
    )


def _check_types(path: Path, values: Mapping[str, Any]) -> None:
    """Check the version first, which says what the other keys are."""
    types = _TYPES | {key: kind for key, kind in _OPTIONAL_TYPES.items() if key in values}
    files = values.get("files")
    if isinstance(files, dict) and files.keys() == set(TEXT_FILES):
        del types["quantizer"]
    for key in (*types, *sorted(values.keys() - types.keys())):
        if key not in types:
            raise BundleError(f"{path} has an unknown key {key!r}")
        if key not in values:
            raise BundleError(f"{path}: {key} is missing")
        value, wanted = values[key], types[key]
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise BundleError(
                f"{path}: {key} must be of type {wanted.__name__}, but is {str(value)[:60]!r}"
            )
        if key == "format_version" and value != BUNDLE_VERSION:
            raise BundleError(f"{path}: bundle format must be {BUNDLE_VERSION}, but is {value}")


def _read_reading(path: Path, values: Mapping[str, Any]) -> HeldOutReading | None:
    """Return the figures of the bundle's speech, if it has any."""
    if "reading" not in values:
        return None
    try:
        found: HeldOutReading = build_config(HeldOutReading, values["reading"], "reading")
    except ValueError as error:
        raise BundleError(f"{path}: {error}") from error
    return found


def _check_files(path: Path, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the hashes of all files; a name that leads elsewhere is not among them."""
    files: dict[str, str] = values["files"]
    needed = FILES if "quantizer" in values else TEXT_FILES
    for name in sorted({*needed, *files}):
        if name not in FILES + OPTIONAL_FILES:
            known = ", ".join(FILES + OPTIONAL_FILES)
            raise BundleError(f"{path}: files may name {known} and no other, but names {name!r}")
        if name not in files:
            raise BundleError(f"{path}: files.{name} is missing")
        digest = files[name]
        if not isinstance(digest, str) or _SHA256.fullmatch(digest) is None:
            raise BundleError(
                f"{path}: files.{name} must be a SHA-256 of 64 hexadecimal digits, "
                f"but is {str(digest)[:70]!r}"
            )
    return files
