import subprocess
import sys
from pathlib import Path

import pytest

from gsv2.data.building.staging import staged_corpus
from gsv2.data.corpus.manifest import MANIFEST_NAME
from gsv2.folder_lock import InUseError


def test_nothing_is_at_its_place_before_the_end(tmp_path):
    out = tmp_path / "deep" / "c"
    with staged_corpus(out, overwrite=False) as building:
        (building / MANIFEST_NAME).write_text("{}")
        assert not out.exists()
    assert (out / MANIFEST_NAME).read_text() == "{}"
    assert [path.name for path in out.parent.iterdir()] == ["c"]


def test_two_processes_at_one_place_are_told_of_each_other(tmp_path):
    out = tmp_path / "c"
    code = (
        "import sys, time; from pathlib import Path\n"
        "from gsv2.data.building.staging import staged_corpus\n"
        "with staged_corpus(Path(sys.argv[1]), overwrite=False): print(flush=True); time.sleep(60)"
    )
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", code, str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as other:
        other.stdout.readline()
        with (
            pytest.raises(InUseError, match=f"c is in use by process {other.pid} on .*since 20"),
            staged_corpus(out, overwrite=False),
        ):
            pytest.fail("two builds at one place")
        assert (tmp_path / ".c.building").is_dir()
        other.kill()
    with staged_corpus(out, overwrite=False):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_what_a_killed_build_left_is_removed(tmp_path):
    (tmp_path / ".c.building").mkdir()
    (tmp_path / ".c.building" / "junk").write_text("half")
    with staged_corpus(tmp_path / "c", overwrite=False) as building:
        assert list(building.iterdir()) == []


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), staged_corpus(tmp_path / "c", overwrite=False):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
