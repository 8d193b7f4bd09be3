import pytest

from gsv2.data.build.staging import staged_corpus
from gsv2.data.manifest import MANIFEST_NAME


def test_nothing_is_at_its_place_before_the_end(tmp_path):
    out = tmp_path / "deep" / "c"
    with staged_corpus(out, overwrite=False) as building:
        (building / MANIFEST_NAME).write_text("{}")
        assert not out.exists()
    assert (out / MANIFEST_NAME).read_text() == "{}"
    assert [path.name for path in out.parent.iterdir()] == ["c"]


def test_what_a_killed_build_left_is_removed(tmp_path):
    (tmp_path / ".c.building").mkdir()
    (tmp_path / ".c.building" / "junk").write_text("half")
    with staged_corpus(tmp_path / "c", overwrite=False) as building:
        assert list(building.iterdir()) == []


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), staged_corpus(tmp_path / "c", overwrite=False):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
