from __future__ import annotations

import json

import pytest
from rich.table import Table

from gsv2.commands.terminal import print_json, print_table


def test_cells_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("name")
    table.add_row("[red]run[/x]" + "y" * 80)
    print_table(table)
    assert "[red]run[/x]" + "y" * 80 in capsys.readouterr().out


@pytest.mark.parametrize("indent", [2, None])
def test_json_is_read_back_equal_and_shows_every_script(
    capsys: pytest.CaptureFixture[str], indent: int | None
) -> None:
    print_json({"text": "汉字"}, indent=indent)
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"text": "汉字"}
    assert "汉字" in printed
    assert (printed.count("\n") == 1) == (indent is None)
