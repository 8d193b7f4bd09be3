"""Every damage of a bundle is one line that names the file and the key."""

import hashlib
import json
import shutil
from dataclasses import asdict

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from gsv2.inference.bundle import BundleError, export_bundle, load_bundle
from tests.support.forked_runs import finish
from tests.support.tiny_bundle import save_parts, tiny_modules

HUGE = 10**9


@pytest.fixture
def bundle(tiny_bundle, tmp_path):
    return shutil.copytree(tiny_bundle, tmp_path / "bundle")


def edit_description(bundle, change):
    path = bundle / "bundle.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def edit_part(bundle, kind, change):
    """Change header and tensors of a part, and record the hash of what comes out."""
    path = bundle / f"{kind}.safetensors"
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["gsv2"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    change(header, tensors)
    save_file(tensors, path, metadata={"gsv2": json.dumps(header)})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit_description(bundle, lambda values: values["files"].update({path.name: digest}))


@pytest.mark.parametrize("key", ["format_version", "gsv2_version", "quantizer", "files"])
@pytest.mark.parametrize("value", [None, [], "x", 1.5, True, {}, -1])
def test_wrong_values_in_the_description_are_named(bundle, key, value):
    if key == "gsv2_version" and isinstance(value, str):
        pytest.skip("any text is a version")
    edit_description(bundle, lambda values: values.update({key: value}))
    with pytest.raises(BundleError, match=rf"bundle(\.json)?: .*({key}|format|quantizer)"):
        load_bundle(bundle)


@pytest.mark.parametrize("key", ["format_version", "gsv2_version", "quantizer", "files"])
def test_missing_keys_of_the_description_are_named(bundle, key):
    edit_description(bundle, lambda values: values.pop(key))
    with pytest.raises(BundleError, match=rf"bundle\.json: {key} is missing"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"3", b"{", b"\xff\xfe", b"[" * 50_000, b" " * 100_000, b"9" * 9_999],
)
def test_a_description_that_is_none_is_named(bundle, content):
    (bundle / "bundle.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"bundle\.json"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    "name", ["../gpt.safetensors", "/etc/hostname", "a/../gpt.safetensors", ""]
)
def test_a_name_that_leads_elsewhere_is_refused(bundle, name):
    edit_description(bundle, lambda values: values["files"].update({name: "0" * 64}))
    with pytest.raises(BundleError, match=r"files may name .* and no other"):
        load_bundle(bundle)


def test_a_file_without_a_hash_is_refused(bundle):
    edit_description(bundle, lambda values: values["files"].pop("gpt.safetensors"))
    with pytest.raises(BundleError, match=r"files\.gpt\.safetensors is missing"):
        load_bundle(bundle)
    edit_description(bundle, lambda values: values["files"].update({"gpt.safetensors": 7}))
    with pytest.raises(BundleError, match=r"files\.gpt\.safetensors must be a SHA-256"):
        load_bundle(bundle)


def set_config(*keys, value):
    def change(header, tensors):
        inner = header["config"]
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value

    return change


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("kind", "keys", "value", "named"),
    [
        ("gpt", ("backbone", "num_layers"), HUGE, r"config\.backbone\.num_layers must be 0 to"),
        ("gpt", ("backbone", "num_layers"), 900_000, r"more than \d+ modules"),
        ("gpt", ("backbone", "num_layers"), 3, r"backbone\.layers\.2\..* is missing"),
        ("gpt", ("backbone", "num_layers"), 1, r"is there, which its config does not know"),
        ("gpt", ("backbone", "dim"), 64, r"the shape of .* must be"),
        ("gpt", ("backbone", "num_heads"), 0, r"config\.backbone"),
        ("gpt", ("backbone", "num_heads"), "four", r"num_heads must be of type int"),
        ("gpt", ("backbone", "rope_theta"), float("nan"), r"rope_theta must be finite"),
        ("gpt", ("pattern",), "spiral", r"config\.pattern must be one of"),
        ("gpt", ("codes",), None, r"config\.codes must be a mapping"),
        (
            "gpt",
            ("codes", "rate_hz"),
            50.0,
            r"config\.codes\.rate_hz must be that of",
        ),
        ("vits2", ("codes", "rate_hz"), 50.0, r"rate_hz must be that of the quantizer"),
        ("vits2", ("generator", "block_kernels"), 3, r"block_kernels must be a list"),
        ("vits2", ("generator", "block_dilations"), [0], r"block_dilations\[0\] must be 1 to"),
        ("vits2", ("mel", "sample_rate"), 64_000, r"mel"),
        ("vits2", ("flow", "num_couplings"), 500_000, r"more than \d+ modules"),
        ("quantizer", ("codes", "codebook_size"), HUGE, r"codebook_size must be 0 to"),
        ("quantizer", ("codes", "levels"), 100_000, r"more than \d+ modules"),
        ("quantizer", ("width",), True, r"width must be of type int"),
    ],
)
def test_a_config_that_is_not_that_of_the_weights_is_named_before_it_is_built(
    bundle, kind, keys, value, named
):
    edit_part(bundle, kind, set_config(*keys, value=value))
    with pytest.raises(ValueError, match=rf"{kind}\.safetensors: .*{named}"):
        load_bundle(bundle)


@pytest.mark.parametrize("kind", ["quantizer", "gpt", "vits2"])
@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: torch.full_like(t, torch.nan), "holds NaN or infinite values"),
        (lambda t: torch.full_like(t, torch.inf), "holds NaN or infinite values"),
        (lambda t: t.long(), r"must be torch\.float32, but is torch\.int64"),
        (lambda t: t.half(), r"must be torch\.float32, but is torch\.float16"),
        (lambda t: t[..., None].clone(), "the shape of"),
    ],
)
def test_weights_that_are_no_weights_are_named(bundle, kind, change, named):
    def damage(header, tensors):
        key = next(key for key, value in sorted(tensors.items()) if value.is_floating_point())
        tensors[key] = change(tensors[key])

    edit_part(bundle, kind, damage)
    with pytest.raises(ValueError, match=rf"{kind}\.safetensors: .*{named}"):
        load_bundle(bundle)


@pytest.mark.parametrize("kind", ["quantizer", "gpt", "vits2"])
def test_every_key_of_a_header_is_needed_and_no_other(bundle, kind):
    whole = {name: (bundle / name).read_bytes() for name in (f"{kind}.safetensors", "bundle.json")}
    for key in ("kind", "config", "provenance"):
        for value in (None, 3, [1]):
            edit_part(bundle, kind, lambda header, _, k=key, v=value: header.update({k: v}))
            with pytest.raises(ValueError, match=rf"{kind}\.safetensors: gsv2\.{key} must be"):
                load_bundle(bundle)
            for name, content in whole.items():
                (bundle / name).write_bytes(content)
    edit_part(bundle, kind, lambda header, _: header.update(licence="x"))
    with pytest.raises(ValueError, match=r"gsv2 has an unknown key 'licence'"):
        load_bundle(bundle)


def test_parts_of_another_quantizer_are_told_by_their_codebooks(bundle, tmp_path):
    other = tiny_modules(seed=7)
    entries = other["quantizer"].codebooks.entries

    def change(header, tensors):
        tensors["code_vectors.codebooks"] = entries.clone()

    edit_part(bundle, "vits2", change)
    with pytest.raises(ValueError, match=r"vits2.* must be the codebooks of the quantizer"):
        load_bundle(bundle)


def test_parts_that_name_another_quantizer_are_refused(bundle):
    edit_part(bundle, "gpt", lambda header, _: header.update(provenance={"quantizer": "other"}))
    with pytest.raises(BundleError, match=r"same quantizer, but are not: .*gpt.*other"):
        load_bundle(bundle)


def test_a_description_of_another_quantizer_is_refused(bundle):
    edit_description(bundle, lambda values: values.update(quantizer="other"))
    with pytest.raises(BundleError, match=r"quantizer in bundle\.json must be that of its parts"):
        load_bundle(bundle)


@pytest.mark.parametrize("length", [0, 4, 8, 100, -1])
def test_a_cut_part_is_damaged_whatever_its_hash_says(bundle, length):
    path = bundle / "gpt.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit_description(bundle, lambda values: values["files"].update({path.name: digest}))
    with pytest.raises(ValueError, match=r"gpt\.safetensors is damaged"):
        load_bundle(bundle)


def test_a_bundle_of_what_is_not_finite_is_never_made(tmp_path):
    run = save_parts(tmp_path / "run")
    modules = tiny_modules()
    torch.nn.init.constant_(modules["gpt"].text_start, torch.nan)
    about = {"kind": "gpt", "config": asdict(modules["gpt"].config)}
    header = {**about, "provenance": {"quantizer": modules["quantizer"].fingerprint()}}
    state = {key: value.clone() for key, value in modules["gpt"].state_dict().items()}
    save_file(state, run / "gpt.safetensors", metadata={"gsv2": json.dumps(header)})
    with pytest.raises(BundleError, match=r"run/gpt\.safetensors: text_start holds NaN"):
        export_bundle([run], tmp_path / "bundle")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_two_exports_to_one_place_leave_one_whole_bundle(tmp_path, forked_runs):
    run, place = save_parts(tmp_path / "run"), tmp_path / "place"
    finish(
        [
            child
            for number in "12"
            for child in forked_runs.start_ranks(
                tmp_path / number, "export", run, place / "bundle", world=1
            )
        ]
    )
    assert load_bundle(place / "bundle").keys() == {"quantizer", "gpt", "vits2"}
    assert [path.name for path in place.iterdir()] == ["bundle"]


def test_what_a_killed_export_leaves_aside_goes_with_the_next_one(tmp_path, forked_runs):
    run, place = save_parts(tmp_path / "run"), tmp_path / "place"
    words = (run, place / "bundle", "killed")
    (child,) = forked_runs.start_ranks(tmp_path / "errors", "export", *words, world=1)
    assert child.wait() == -9
    (left,) = place.iterdir()
    others = place / left.name.replace("-bundle-", "-bundle-other-host-")  # may still be at work
    others.mkdir()
    export_bundle([run], place / "bundle")
    assert sorted(path.name for path in place.iterdir()) == sorted([others.name, "bundle"])
