"""Labels by identifier, against a dictionary."""

import random

from gsv2.data.building.readers.labels import Labels


def test_labels_are_those_of_a_dictionary() -> None:
    draw = random.Random(0)
    pairs = [(f"clip{draw.randrange(500)}", f"speaker{draw.randrange(20)}") for _ in range(2000)]
    labels, expected = Labels(pairs), dict(pairs)  # of two labels the last one counts in both
    assert len(labels) == len(pairs)
    assert {name: labels.get(name) for name in expected} == expected
    assert labels.get("clip500") == labels.get("") == ""


def test_no_labels_at_all_have_none() -> None:
    assert Labels([]).get("a") == ""


def test_a_name_that_is_not_utf_8_has_its_label() -> None:
    assert Labels([("\udcff", "anna"), ("b", "bert")]).get("\udcff") == "anna"
