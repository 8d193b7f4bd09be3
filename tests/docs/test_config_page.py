"""The page of all config keys is made from the dataclasses, and each field has its sentence."""

from __future__ import annotations

from dataclasses import fields

import pytest

from docs.make_config import PAGE, config_places, field_sentences, make_page


def test_the_page_is_that_of_the_dataclasses():
    assert PAGE.read_text() == make_page(), "run `make docs`"


@pytest.mark.parametrize("cls", config_places(), ids=lambda cls: cls.__name__)
def test_every_config_field_has_its_sentence(cls):
    missing = [field.name for field in fields(cls) if field.name not in field_sentences(cls)]
    assert not missing
