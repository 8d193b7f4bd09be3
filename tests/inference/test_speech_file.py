"""What cannot be spoken or written is refused in one line, before a model is loaded."""

import math

import pytest
import torch

from gsv2.inference.generate import generate
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.speech_file import SpeechFiles, VoiceRecordings, write_speech
from tests.support.generating_gpt import GREEDY, SHORT, make_gpt, make_utterances

pytestmark = pytest.mark.usefixtures("without_watermark")


@pytest.mark.parametrize("weight", [math.nan, math.inf, -1.0, 1e-300, 1e300])
def test_a_weight_that_is_none_is_refused(tmp_path, voice, weight):
    with pytest.raises(ValueError, match="weight of"):
        speak(tmp_path, voice, weights=[weight, 1.0], references=[voice, voice])


def speak(tmp_path, voice, **given):
    bundle = tmp_path / "bundle"
    bundle.mkdir(exist_ok=True)
    if not (bundle / "bundle.json").exists():
        names = ("quantizer", "gpt", "vits2")
        files = ",".join(f'"{name}.safetensors":"{"0" * 64}"' for name in names)
        (bundle / "bundle.json").write_text(
            f'{{"format_version":1,"gsv2_version":"0","quantizer":"a","files":{{{files}}}}}'
        )
    given = {"text": "hello", "out": tmp_path / "out.wav", "references": [voice], **given}
    recordings = VoiceRecordings(
        given["references"], given.get("transcripts", ()), given.get("weights", ())
    )
    sampling = SamplingConfig(seed=given.get("seed", 0))
    return write_speech(bundle, given["text"], SpeechFiles(given["out"]), recordings, sampling)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"text": " "}, "at least one letter"),
        ({"seed": 2**70}, "seed must be"),
        ({"transcripts": [""]}, "ref-text of"),
        ({"weights": [0.0]}, "positive sum"),
        ({"out": "nowhere/out.wav"}, "nowhere is no folder"),
        ({"out": "bundle"}, "is a folder"),
        ({"out": "out"}, "suffix of an audio format"),
        ({"out": "out.raw"}, "suffix of an audio format"),
    ],
)
def test_arguments_that_cannot_be_met_are_named(tmp_path, voice, given, named):
    (tmp_path / "bundle").mkdir()
    if "out" in given:
        given = {"out": tmp_path / given["out"]}
    with pytest.raises(ValueError, match=named):
        speak(tmp_path, voice, **given)


def test_a_recording_is_never_overwritten(tmp_path, voice):
    with pytest.raises(ValueError, match="would be overwritten"):
        speak(tmp_path, voice, out=voice)


def test_a_missing_recording_is_named(tmp_path, voice):
    with pytest.raises(ValueError, match=r"none\.wav does not exist"):
        speak(tmp_path, voice, references=[tmp_path / "none.wav"])


@pytest.mark.timeout(60)
@pytest.mark.parametrize("pattern", ["depth", "parallel", "delay", "flatten", "nar"])
@pytest.mark.parametrize("sampling", [GREEDY, SHORT])
def test_generation_ends_at_its_cap_whatever_the_logits_are(pattern, sampling):
    model = make_gpt(pattern)
    torch.nn.init.constant_(model.text_start, math.nan)
    out = generate(model, make_utterances(), sampling)
    most = sampling.frame_bounds(torch.tensor([5, 2, 6]), 25.0)[1]
    assert (out.lengths <= most).all()


@pytest.mark.parametrize("name", ["temperature", "max_sec_per_byte", "max_extra_sec"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_a_sampling_value_that_is_none_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be at least 0, but is"):
        SamplingConfig(**{name: value})
