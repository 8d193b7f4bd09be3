"""Push of a bundle: a folder as hubs publish models, or a repository of the Hugging Face Hub."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from gsv2.evaluation import bundle_evaluation
from gsv2.files import atomic_folder
from gsv2.hub.model_card import collect_facts, render_card
from gsv2.inference import bundle_description, bundle_provenance
from gsv2.inference.bundle import load_bundle
from gsv2.inference.bundle_description import BundleError, read_bundle_description
from gsv2.inference.hub_bundle import PREFIX, repository_of

CONFIG = "config.json"
CARD = "README.md"
_BESIDE = (bundle_description.FILE, bundle_provenance.FILE, bundle_evaluation.FILE)


def push_bundle(
    bundle: Path, target: str, *, licence: str | None = None, private: bool = False
) -> str:
    """Publish a bundle with its model card and `config.json`.

    Args:
        bundle: folder of the bundle.
        target: folder, or `hf://OWNER/NAME`, which is made if need be.
        licence: licence of the weights, for the card.
        private: whether a repository that is made is for its owner alone.

    Returns:
        Where it is.

    Raises:
        BundleError: the bundle is damaged, the folder holds something else, or the hub refuses.
    """
    if not target.startswith(PREFIX):
        out = Path(target)
        _check_place(bundle, out)
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(out) as folder:
            write_model(bundle, folder, out.resolve().name, licence)
        return str(out)
    repository = repository_of(target)
    assert repository is not None, "it begins with hf://"
    with tempfile.TemporaryDirectory() as folder:
        write_model(bundle, Path(folder), repository, licence)
        return _upload(Path(folder), repository, private=private)


def write_model(bundle: Path, folder: Path, name: str, licence: str | None) -> None:
    """Write weights, what lies beside them, `config.json` and the card into an empty folder.

    Raises:
        BundleError: the bundle is damaged.
    """
    facts = collect_facts(bundle, name, licence)
    for file in (*facts.description.files, *_BESIDE):
        if (bundle / file).is_file():
            shutil.copyfile(bundle / file, folder / file)
    text = json.dumps(describe_model(bundle), indent=2, ensure_ascii=False)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
    (folder / CARD).write_text(render_card(facts), encoding="utf-8")


def describe_model(bundle: Path) -> dict[str, Any]:
    """Return the content of `config.json`: it is for people and hubs, gsv2 reads the weights' own.

    Raises:
        BundleError: the bundle is damaged.
    """
    components = load_bundle(bundle)
    has_gpt = "gpt" in components
    return {
        "model_type": "gsv2",
        "architectures": ["GPT-SoVITS2" if has_gpt else "VITS2"],
        "quantizer": read_bundle_description(bundle).quantizer,
        "parts": {kind: dict(component.config) for kind, component in components.items()},
    }


def _check_place(bundle: Path, out: Path) -> None:
    if out.resolve() == bundle.resolve():
        raise BundleError(f"{out} is the bundle itself; choose another folder")
    is_old = (out / CONFIG).is_file() and (out / bundle_description.FILE).is_file()
    if out.exists() and not is_old and (not out.is_dir() or any(out.iterdir())):
        raise BundleError(f"{out} exists and is no pushed bundle; choose another folder")


def _upload(folder: Path, repository: str, *, private: bool) -> str:
    from huggingface_hub import HfApi

    api = HfApi(library_name="gsv2")
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            commit_message="A bundle of gsv2",
            delete_patterns="*.safetensors",  # of a part that this bundle lacks
        )
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise BundleError(f"{PREFIX}{repository} cannot be written: {reason}") from error
    return str(commit.commit_url)
