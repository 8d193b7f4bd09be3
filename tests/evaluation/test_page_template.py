import pytest

from gsv2.evaluation.page_template import format_duration, format_number, page_template


def test_a_template_may_include_the_look_and_the_sounds_of_all_pages(tmp_path):
    path = tmp_path / "own.html.j2"
    path.write_text(
        '{% from "page_macros.html.j2" import player %}<b>{{ text }}</b>'
        '{% include "page_style.css" %}'
    )
    page = page_template(path).render(text="a < b")
    assert "<b>a &lt; b</b>" in page
    assert "--page:" in page


@pytest.mark.parametrize(
    ("value", "shown"),
    [(3, "3"), (48_000, "48,000"), (0.31274, "0.313"), (1234.5, "1,234"), (1e-5, "1e-05")],
)
def test_numbers_have_three_digits(value, shown):
    assert format_number(value) == shown


def test_durations_read_naturally():
    assert [format_duration(s) for s in (9.14, 59.99, 83, 341.6)] == [
        "9.1 s",
        "60.0 s",
        "1 min 23 s",
        "5 min 42 s",
    ]
