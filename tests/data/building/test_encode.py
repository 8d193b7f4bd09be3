from dataclasses import replace

import numpy as np
import pytest

from gsv2.audio.wave import load_wave
from gsv2.data.building.encode import ClipRecord, EncodedClip, Rejected, ShardConfig, encode_clip
from gsv2.data.corpus.format import SAMPLE_RATE

NOISE = (0.1 * np.random.default_rng(0).standard_normal(SAMPLE_RATE)).astype("float32")
CLIP = ClipRecord(key="a/b", wave=NOISE, text="  Grüß\tdich ", language="de-AT")


def test_text_is_normalised_and_counted_in_bytes():
    made = encode_clip(CLIP, ShardConfig())
    assert isinstance(made, EncodedClip)
    assert '"text": "Grüß dich"' in made.json.decode()
    assert made.text_bytes == len("Grüß dich".encode())
    assert made.num_samples == len(load_wave(made.audio, SAMPLE_RATE)) == SAMPLE_RATE


def test_the_record_is_not_changed():
    before = CLIP.wave.copy()
    encode_clip(CLIP, ShardConfig(target_lufs=-10.0))
    assert (CLIP.wave == before).all()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"key": "a.b"}, "key with dots or blanks"),
        ({"key": "/a"}, "key with dots or blanks"),
        ({"key": ""}, "key with dots or blanks"),
        ({"language": "en/us"}, "language is not a tag like en or zh-Hant"),
        ({"wave": NOISE[:10]}, "audio too short"),
        ({"wave": np.tile(NOISE, 3)}, "audio too long"),
        ({"wave": np.full(9000, np.inf)}, "audio is not one finite channel"),
        ({"text": "\ufeff—…"}, "no speech in the text"),
    ],
)
def test_what_cannot_be_used_has_a_reason(changes, reason):
    made = encode_clip(replace(CLIP, **changes), ShardConfig(max_clip_sec=2.0))
    assert isinstance(made, Rejected)
    assert made.reason == reason
