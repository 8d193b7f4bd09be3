import pytest

from gsv2.audio.mel import MelConfig
from gsv2.models.vits2.config import VITS2Config
from gsv2.nn.codes import CodeConfig


def test_rates_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must be mel.hop_length \(320\), but is 640"):
        VITS2Config(mel=MelConfig(sample_rate=16_000, hop_length=320))
    with pytest.raises(ValueError, match="must divide the frame rate"):
        VITS2Config(codes=CodeConfig(rate_hz=30.0))
