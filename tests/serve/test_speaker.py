"""The speaker of a bundle is one that the server can use."""

import inspect

import pytest

from gsv2.serve.bundle_speaker import BundleSpeaker
from gsv2.serve.speaker import Speaker
from tests.support.speech_server import ToneSpeaker


@pytest.mark.parametrize("kind", [BundleSpeaker, ToneSpeaker])
@pytest.mark.parametrize("name", ["enroll", "mix", "stream"])
def test_a_speaker_takes_and_gives_what_the_protocol_says(kind, name):
    assert inspect.signature(getattr(kind, name)) == inspect.signature(getattr(Speaker, name))


@pytest.mark.parametrize("kind", [BundleSpeaker, ToneSpeaker])
def test_a_speaker_has_all_that_the_protocol_names(kind):
    named = {name for name in vars(Speaker) if not name.startswith("_")}
    assert named == {"sample_rate", "enroll", "mix", "stream"}
    assert named <= set(dir(kind))
