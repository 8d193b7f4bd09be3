from gsv2.quickstart.demo_voices import HELDOUT_VOICES, TRAIN_VOICES, speaker_name


def test_no_variant_is_used_twice():
    variants = [voice.variant for voice in TRAIN_VOICES + HELDOUT_VOICES]
    assert len(set(variants)) == len(variants)
    assert len(TRAIN_VOICES) >= 16
    assert len(HELDOUT_VOICES) >= 6


def test_pitch_and_pace_are_spread_within_what_sounds_natural():
    for voices, least in ((TRAIN_VOICES, 12), (HELDOUT_VOICES, 6)):
        assert len({voice.pitch for voice in voices}) >= least
        assert len({voice.rate for voice in voices}) >= least
        assert all(35 <= voice.pitch <= 65 for voice in voices)
        assert all(140 <= voice.rate <= 170 for voice in voices)


def test_speaker_names_can_be_keys():
    assert speaker_name(TRAIN_VOICES[1]) == "f1-p45-r151"
