from __future__ import annotations

from dataclasses import replace

import pytest

from gsv2.config import load_config
from gsv2.models.gpt.model import GPTConfig
from gsv2.nn.codes import CodeConfig
from gsv2.shipped import shipped_folder
from gsv2.stages import SCHEMAS
from gsv2.stages.sections import CodesModelSection, check_optim, fill_codes
from gsv2.training.optim import OptimConfig

CODES = CodeConfig(levels=4, codebook_size=64)


def test_codes_are_those_of_the_quantizer() -> None:
    assert fill_codes(GPTConfig(), CODES, "model.gpt").codes == CODES
    filled = GPTConfig(codes=CODES)
    assert fill_codes(filled, CODES, "model.gpt") == filled


def test_codes_that_would_be_overwritten_are_refused_by_key() -> None:
    other = GPTConfig(codes=replace(CODES, levels=8))
    with pytest.raises(ValueError, match=r"^model\.gpt\.codes must be left out.*levels=4.*is.*=8"):
        fill_codes(other, CODES, "model.gpt")


def test_each_trainable_has_an_optimizer_and_nobody_else() -> None:
    check_optim({"a": OptimConfig(), "b": OptimConfig()}, ("b", "a"))
    with pytest.raises(ValueError, match=r"optim must have a and b only, but has \['a'\]"):
        check_optim({"a": OptimConfig()}, ("a", "b"))


def test_a_stage_that_reads_codes_names_their_quantizer() -> None:
    with pytest.raises(ValueError, match=r"model\.quantizer must name a quantizer, but is empty"):
        CodesModelSection(quantizer="")
    with pytest.raises(ValueError, match="nowhere"):
        CodesModelSection(quantizer="nowhere").load_quantizer()


@pytest.mark.parametrize(
    ("config", "reader"),
    [
        ("vits2/text_debug", r"model\.generator\.prior=text"),
        ("joint/debug", "stage=joint"),
        ("aligner/debug", "stage=aligner"),
    ],
)
def test_texts_are_read_with_whole_clips(config: str, reader: str) -> None:
    file = shipped_folder("configs") / f"{config}.yaml"
    with pytest.raises(ValueError, match=f"data.excerpt_sec must be left out for {reader}"):
        load_config(file, ["data.excerpt_sec=4"], SCHEMAS)
