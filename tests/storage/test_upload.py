"""Upload of a folder."""

from __future__ import annotations

import fsspec
import pytest

from gsv2.storage.object_store import ObjectFolder
from gsv2.storage.upload import upload_folder

FILES = {"corpus.json": b"{}", "en/a.tar": bytes(3000), "en/a.parquet": b"p", "train/b": b"b"}


@pytest.fixture
def folder(tmp_path):
    for name, content in FILES.items():
        path = tmp_path / "c" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "c"


@pytest.fixture
def url(request):
    yield f"memory://{request.node.name}"
    files = fsspec.filesystem("memory")
    if files.exists(f"/{request.node.name}"):
        files.rm(f"/{request.node.name}", recursive=True)


def there(url: str) -> dict[str, bytes]:
    remote = ObjectFolder(url)
    return {name: remote.read(name) for name in remote.find()}


def test_all_files_are_moved_and_that_which_says_so_comes_last(folder, url, monkeypatch):
    order, put, seen = [], ObjectFolder.put, []

    def putting(self, file, path):
        order.append(path)
        put(self, file, path)

    monkeypatch.setattr(ObjectFolder, "put", putting)
    upload_folder(folder, url, last="corpus.json", progress=lambda *n: seen.append(n))
    assert there(url) == FILES
    assert order[-1] == "corpus.json"
    assert not [path for path in folder.rglob("*") if path.is_file()]
    total = sum(map(len, FILES.values()))
    assert seen[-1] == (total, total)


def test_an_upload_that_was_ended_goes_on(folder, url, monkeypatch):
    put = ObjectFolder.put

    def failing(self, file, path):
        if path == "en/a.tar":
            raise OSError("the line is cut")
        put(self, file, path)

    with monkeypatch.context() as patch:
        patch.setattr(ObjectFolder, "put", failing)
        with pytest.raises(OSError, match="the line is cut"):
            upload_folder(folder, url, last="corpus.json")
    assert "corpus.json" not in there(url)
    upload_folder(folder, url, last="corpus.json")
    assert there(url) == FILES


def test_a_whole_folder_is_not_written_over_unless_it_is_asked(folder, url):
    ObjectFolder(url).files.pipe_file(f"{ObjectFolder(url).root}/corpus.json", b"old")
    with pytest.raises(FileExistsError, match=r"has a corpus\.json already"):
        upload_folder(folder, url, last="corpus.json")
    assert (folder / "en/a.tar").exists()
    upload_folder(folder, url, last="corpus.json", overwrite=True)
    assert there(url) == FILES


def test_a_file_of_another_size_is_an_error_and_stays_here(folder, url, monkeypatch):
    monkeypatch.setattr(ObjectFolder, "size", lambda self, path: 7)
    with pytest.raises(OSError, match="bytes, but has 7"):
        upload_folder(folder, url, last="corpus.json")
    assert sum(path.is_file() for path in folder.rglob("*")) == 4
