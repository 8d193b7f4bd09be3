"""What the trainer says of a model that was listened to."""

from __future__ import annotations

import logging

import pytest

from gsv2.training.listening import log_listening, recall_listening
from tests.stages.test_gpt_listening import make_test, record


class _Main:
    is_main = True


class _Agreement:
    distributed = _Main()


class _Stage:
    def __init__(self):
        self.listening_test = make_test()


@pytest.mark.parametrize(
    ("errors", "said"), [(0.2, "the model reads"), (0.8, "does not read: .80")]
)
def test_the_last_step_says_in_a_line_whether_the_model_reads(caplog, errors, said):
    caplog.set_level(logging.INFO)
    stage = _Stage()
    log_listening(stage, 5, record(errors, 1.0), _Agreement(), is_last=False)
    assert not caplog.messages
    log_listening(stage, 9, record(errors, 1.0), _Agreement(), is_last=True)
    assert len(caplog.messages) == 1
    assert said in caplog.messages[0]
    assert "recordings .10" in caplog.messages[0]


def test_a_launch_warns_of_reading_worse_than_in_the_launches_before(caplog):
    stage = _Stage()
    recall_listening(stage, [{"step": 1}, record(0.2, 2.0), record(0.3, 1.5)])
    log_listening(stage, 9, record(0.5, 1.0), _Agreement(), is_last=False)
    (warning,) = caplog.messages
    assert "character errors 0.50 were 0.20, validation/gpt/loss 1.000 was 2.000" in warning
