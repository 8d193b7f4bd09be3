from __future__ import annotations

import pytest

from gsv2.evaluation.judges import Judges
from tests.support.made_up_judges import EchoRecognizer, PitchEncoder


def test_a_recogniser_and_an_encoder_may_share_a_name_but_not_two_of_a_kind() -> None:
    Judges(recognizers=[EchoRecognizer(name="x")], encoders=[PitchEncoder(name="x")])
    for twice in ({"recognizers": [EchoRecognizer()] * 2}, {"encoders": [PitchEncoder()] * 2}):
        with pytest.raises(ValueError, match="judges must have names of their own"):
            Judges(**twice)
