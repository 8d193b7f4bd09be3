from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gsv2.training.checkpoints import tensor_file
from gsv2.training.checkpoints.tensor_file import write_hashed, write_tensors

DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
    torch.int16, torch.int8, torch.uint8, torch.bool,
)  # fmt: skip


def test_the_file_is_byte_for_byte_what_the_library_writes(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(), (3,), (2, 5), (4, 1, 3), (0, 2)]
    tensors = {
        f"{'zyx'[i % 3]}.{dtype}/ü{i}": (100 * torch.rand(shape, generator=generator)).to(dtype)
        for dtype in DTYPES
        for i, shape in enumerate(shapes)
    }
    metadata = {"gsv2": '{"kind": "gpt", "note": "\\u00fc\\n"}'}
    digest = write_tensors(tmp_path / "ours", tensors, metadata)
    save_file(tensors, tmp_path / "theirs", metadata=metadata)
    content = (tmp_path / "ours").read_bytes()
    assert content == (tmp_path / "theirs").read_bytes()
    assert digest == hashlib.sha256(content).hexdigest()
    for name, tensor in load_file(tmp_path / "ours").items():
        assert torch.equal(tensor, tensors[name])


def test_no_tensors_are_a_file_too(tmp_path: Path) -> None:
    write_tensors(tmp_path / "empty", {}, {})
    assert load_file(tmp_path / "empty") == {}


def test_parts_longer_than_a_chunk_are_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensor_file, "_CHUNK", 7)
    parts = [b"0123456789" * 5, b"", b"abc"]
    digest = write_hashed(tmp_path / "file", parts)
    assert (tmp_path / "file").read_bytes() == b"".join(parts)
    assert digest == hashlib.sha256(b"".join(parts)).hexdigest()


def test_an_existing_file_is_never_written_over(tmp_path: Path) -> None:
    write_hashed(tmp_path / "file", [b"kept"])
    with pytest.raises(FileExistsError):
        write_hashed(tmp_path / "file", [b"lost"])
    assert (tmp_path / "file").read_bytes() == b"kept"
