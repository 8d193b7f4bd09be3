from gsv2.training.accounting.standing import take_standing
from gsv2.training.accounting.state import TrainState


def test_what_a_record_has_told_is_not_told_again() -> None:
    state = TrainState(samples_seen=7, sequences={1: 3, 2: 1}, audio_seen={"en": 32_000 * 3600})
    first, second = take_standing(state), take_standing(state)
    assert first["data/samples_seen"] == second["data/samples_seen"] == 7
    assert first["data/hours/en"] == 1.0
    shares = {key for key in first if key.startswith("data/") and first[key] != second[key]}
    assert shares, "the mix of prompts since the last record"
    assert state.sequences == {}
