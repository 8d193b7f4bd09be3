import pytest

from gsv2.quickstart.summary import OWN_VOICE, WER, key_figures


def of(value, recording=None, difference=None):
    found = {"generated": value, "recording": recording, "difference": difference}
    return {name: {"value": v} for name, v in found.items() if v is not None}


def evaluation(codes=0.1, sound=0.12, en=0.1, worst=0.2, wer=0.1, own=0.9):
    """Return figures of two languages; those of Korean are the worst."""
    return {
        "all": {
            "char_errors": of(codes),
            OWN_VOICE: of(own, recording=1.0),
            "unended": of(0.0),
            "real_time_factor": of(0.4),
        },
        "median": {"char_errors": of(codes, 0.05), "char_errors_of_sound": of(sound, 0.05)},
        "en": {"char_errors": of(en), "char_errors_of_sound": of(en), WER: of(wer, 0.0, wer)},
        "ko": {"char_errors": of(worst), "char_errors_of_sound": of(worst)},
    }


def failed(**changed):
    figures = key_figures(evaluation(**changed))
    return [figure.name for figure in figures if figure.passed is False]


def test_all_targets_can_be_met():
    figures = list(key_figures(evaluation()))
    assert len([figure for figure in figures if figure.passed]) == 8
    assert not failed()


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"codes": 0.16}, ["character errors of the codes"]),
        ({"sound": 0.16}, ["character errors of the sound"]),
        (
            {"worst": 0.31},
            ["character errors of the codes: ko", "character errors of the sound: ko"],
        ),
        ({"wer": 0.21}, ["English word errors above the recordings'"]),
        ({"own": 0.79}, ["own voice, of what the recordings have"]),
    ],
)
def test_each_target_is_missed_alone(changed, names):
    assert failed(**changed) == names


def test_what_was_not_measured_is_left_out():
    figures = evaluation()
    del figures["all"][OWN_VOICE], figures["en"][WER]
    names = " ".join(figure.name for figure in key_figures(figures))
    assert "own voice" not in names
    assert "English" not in names


def test_babble_meets_no_target_of_what_is_understood():
    """What the quickstart of 450 steps without a pointer had: words and voices by chance."""
    babble = evaluation(codes=0.86, sound=0.9, en=0.86, worst=0.95, wer=1.0, own=0.44)
    assert not [figure.name for figure in key_figures(babble) if figure.passed]
