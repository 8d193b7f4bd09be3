import json
import re
from dataclasses import replace

import numpy as np
import pytest

from gsv2.evaluation.page_template import format_duration, format_number
from gsv2.quickstart.report import write_report
from gsv2.quickstart.report_data import (
    CorpusRow,
    FusionPoint,
    KeyFigure,
    ReportData,
    SpeakingFigures,
    SpokenSentence,
    StepTime,
    TrainedRun,
)
from tests.support.html_page import Page

ARABIC = "الجو حار في روما غدا."


def noise(seconds, seed):
    samples = np.random.default_rng(seed).standard_normal(int(32_000 * seconds))
    return samples.astype(np.float32) * 0.1


def run(folder, name):
    (folder / name).mkdir()
    rows = [{"step": s, "time": 1.0 * s, f"{name}/loss": 7.77 / s} for s in range(1, 30)]
    rows += [{"step": 29, f"validation/{name}/loss": 0.456, f"{name}/lr": 3.21e-4}]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / name / "metrics.jsonl").write_text(text)
    return TrainedRun(name=name, folder=folder / name)


@pytest.fixture
def data(tmp_path):
    return ReportData(
        figures=[
            KeyFigure(name="feature error", value=0.3127, target=0.5, note="over the variance"),
            KeyFigure(name="perplexity / V", value=0.1239, target=0.2, better="higher"),
            KeyFigure(name="speed", value=1234.5, unit="samples/s"),
        ],
        corpus=[
            CorpusRow(split="train", language="en", clips=481, minutes=17.63, voices=31),
            CorpusRow(split="heldout", language="en", clips=83, minutes=2.917, voices=11),
            CorpusRow(split="train", language="ar", clips=47, minutes=1.234, voices=5),
        ],
        num_voices={"train": 33, "heldout": 12},
        runs=[run(tmp_path, name) for name in ("quantizer", "gpt")],
        sentences=[
            SpokenSentence(
                text="<b>Tom & Mia</b>",
                language="en",
                speaker="m3-p45",
                recording=noise(1.31, 2),
                generated=noise(1.47, 3),
                heard="Tom and <i>Mia</i>",
                ended=True,
                compute_sec=0.873,
            ),
            SpokenSentence(
                text=ARABIC,
                language="ar",
                speaker="f1",
                recording=noise(1.11, 0),
                generated=noise(1.12, 1),
                heard="",
                ended=False,
                compute_sec=0.5,
            ),
        ],
        notes=["nobody heard the Arabic"],
        speaking=SpeakingFigures(
            voices=("m3-p45", "f1"),
            fusion=[
                FusionPoint(weight=0.0, like_first=0.8123, like_second=0.2345),
                FusionPoint(weight=1.0, like_first=0.3456, like_second=0.7891),
            ],
            audio_sec=6.543,
            whole_sec=1.987,
            first_sec=0.456,
            first_byte_sec=0.567,
            answer_sec=2.123,
        ),
        steps=[
            StepTime(name="corpus", seconds=9.14),
            StepTime(name="gpt", seconds=83.0),
        ],
        total_sec=341.2,
        peak_memory_gib=2.413,
        machine={"processor": "two cores", "torch": "2.12.0"},
    )


@pytest.fixture
def page(data, tmp_path):
    return Page(write_report(data, tmp_path / "out").read_text(encoding="utf-8"))


def test_the_page_loads_nothing_from_outside(data, tmp_path):
    html = write_report(data, tmp_path).read_text(encoding="utf-8")
    assert not re.search(r"https?:|@import|<script|//", re.sub(r"base64,[^\"]*", "", html))
    assert all(source.startswith(("data:", "#")) for source in Page(html).sources)
    assert not re.search(r"url\((?!#)", html)


def test_tags_nest_and_ids_are_unique_and_every_link_has_a_target(page):
    assert len(set(page.ids)) == len(page.ids)
    assert {anchor.removeprefix("#") for anchor in page.anchors} <= set(page.ids)


def test_every_figure_of_the_json_is_on_the_page(data, page, tmp_path):
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    shown = page.text
    for value in numbers({key: report[key] for key in report if key not in ("steps", "total_sec")}):
        assert format_number(value) in shown, value
    for seconds in [report["total_sec"], *(step["seconds"] for step in report["steps"])]:
        assert format_duration(seconds) in shown
    for name, value in report["machine"].items():
        assert name in shown
        assert value in shown


def numbers(value):
    """Every number in nested plain values; the step at which a curve ends is its run's."""
    if isinstance(value, dict):
        return [n for key, item in value.items() if key != "passed" for n in numbers(item)]
    if isinstance(value, list):
        return [n for item in value for n in numbers(item)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def test_the_json_holds_full_values_and_verdicts(data, tmp_path):
    write_report(data, tmp_path)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["figures"][0]["value"] == 0.3127
    assert [figure["passed"] for figure in report["figures"]] == [True, False, None]
    assert report["passed"] is False
    assert report["runs"]["gpt"]["validation/gpt/loss"] == {"step": 29, "value": 0.456}
    assert report["sentences"][0]["ended"] is True
    assert report["notes"] == ["nobody heard the Arabic"]
    assert report["sentences"][0]["generated_sec"] == pytest.approx(1.47)


def test_verdicts_are_shown(page):
    words = page.text.split()
    assert words.count("pass") == 1
    assert words.count("fail") == 1
    assert words.count("reported") == 1


def test_texts_are_escaped_and_keep_their_direction(page):
    assert page.directed["<b>Tom & Mia</b>"] == "auto"
    assert page.directed[ARABIC] == "auto"


def test_each_sound_has_a_player_and_a_picture(page):
    kinds = [source.partition(";")[0] for source in page.sources]
    assert kinds.count("data:audio/flac") == 4
    assert kinds.count("data:image/png") == 4


def test_a_value_that_is_not_finite_fails_its_target_and_is_null_in_json(data, tmp_path):
    lost = KeyFigure(name="loss", value=float("nan"), target=1.0)
    write_report(replace(data, figures=[lost]), tmp_path)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["figures"][0]["value"] is None
    assert report["figures"][0]["passed"] is False
    assert "nan" in Page((tmp_path / "report.html").read_text(encoding="utf-8")).text


def test_a_report_of_nothing_is_still_a_page(data, tmp_path):
    empty = {name: [] for name in ("figures", "corpus", "runs", "sentences", "steps")}
    bare = replace(data, **empty, machine={})
    Page(write_report(bare, tmp_path).read_text(encoding="utf-8"))


def test_a_run_without_metrics_is_named(data, tmp_path):
    missing = replace(data, runs=[TrainedRun(name="gpt", folder=tmp_path / "nowhere")])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write_report(missing, tmp_path)
