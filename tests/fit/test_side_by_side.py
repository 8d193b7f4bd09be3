from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from gsv2.data.config import SourceConfig
from gsv2.fit import side_by_side
from gsv2.fit.chain import ChainCall
from gsv2.fit.corpus import FitCorpora
from gsv2.fit.side_by_side import ChainError, run_side_by_side
from gsv2.openmp import SPIN_ROUNDS


def call_of(chain: str) -> ChainCall:
    source = SourceConfig(path="corpus", codes="codes", part="train", held_out_share=0.1)
    return ChainCall(
        chain=chain,
        seconds=3.0,
        started=time.time(),
        out="out",
        corpora=FitCorpora(train=source, held_out=source),
        seed=1,
        size="debug",
        overrides=("gpt.seed=2",),
        longest_sec=4.0,
    )


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Chain -> Python program that stands for it."""
    code: dict[str, str] = {}
    popen = side_by_side.subprocess.Popen

    def start(command: Sequence[str], **options: object) -> object:
        assert command[:-1] == [sys.executable, "-m", "gsv2.fit.chain"]
        call = ChainCall.from_json(command[-1])
        return popen([sys.executable, "-u", "-c", code[call.chain]], **options)

    monkeypatch.setattr(side_by_side.subprocess, "Popen", start)
    return code


def test_a_call_comes_back_from_the_command_line_as_it_was() -> None:
    call = call_of("voice")
    assert ChainCall.from_json(call.to_json()) == call


def test_both_run_at_a_time_with_their_threads_and_what_they_say_is_told(
    tmp_path: Path,
    programs: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    show = "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['GOMP_SPINCOUNT']);"
    programs["reading"] = show + "import time; time.sleep(0.6); print('step 1')"
    programs["voice"] = show + "import time; time.sleep(0.6); print('step 2')"
    start = time.monotonic()
    with caplog.at_level("INFO"):
        run_side_by_side([call_of("reading"), call_of("voice")], tmp_path / "logs", threads=3)
    assert time.monotonic() - start < 5
    assert {f"reading: 3 {SPIN_ROUNDS}", "reading: step 1", "voice: step 2"} <= set(caplog.messages)
    assert (tmp_path / "logs" / "voice.log").read_text().splitlines() == [
        f"3 {SPIN_ROUNDS}",
        "step 2",
    ]


def test_an_error_in_one_ends_the_other_which_may_save(
    tmp_path: Path, programs: dict[str, str]
) -> None:
    programs["reading"] = "import sys; sys.stderr.write('the corpus is torn\\n'); sys.exit(3)"
    programs["voice"] = (
        "import signal, sys, time\n"
        "def leave(*_): print('saved'); sys.exit(85)\n"
        "signal.signal(signal.SIGTERM, leave)\n"
        "print('ready')\n"
        "time.sleep(60)"
    )
    start = time.monotonic()
    with pytest.raises(ChainError, match=r"reading ended with code 3: the corpus is torn \(log: "):
        run_side_by_side([call_of("voice"), call_of("reading")], tmp_path, threads=1)
    assert time.monotonic() - start < 30
    assert "60" not in (tmp_path / "voice.log").read_text()


def test_ctrl_c_ends_both(
    tmp_path: Path, programs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    programs["reading"] = programs["voice"] = "import time; time.sleep(60)"

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(side_by_side, "_watch", interrupt)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_side_by_side([call_of("reading"), call_of("voice")], tmp_path, threads=1)
    assert time.monotonic() - start < 30


def test_logs_of_earlier_calls_are_kept_and_not_told_again(
    tmp_path: Path, programs: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "voice.log").write_text("of yesterday\n")
    programs["voice"] = "print('of today')"
    with caplog.at_level("INFO"):
        run_side_by_side([call_of("voice")], tmp_path, threads=1)
    assert caplog.messages == ["voice: of today"]
    assert (tmp_path / "voice.log").read_text() == "of yesterday\nof today\n"
