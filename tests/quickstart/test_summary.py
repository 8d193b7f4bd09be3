from dataclasses import replace

import numpy as np

from gsv2.losses.codebook import CodeReport
from gsv2.quickstart.evaluate import FeatureReport
from gsv2.quickstart.report_data import SpokenSentence
from gsv2.quickstart.summary import _ended_figure, _quantizer_figures

SENTENCE = SpokenSentence(
    text="a",
    language="en",
    speaker="s",
    reference=np.zeros(1, np.float32),
    reference_text="b",
    generated=np.zeros(1, np.float32),
    ended_by="eos",
    compute_sec=0.1,
)


def test_eight_of_ten_sentences_must_end_by_themselves():
    capped = replace(SENTENCE, ended_by="cap")
    assert _ended_figure([SENTENCE] * 8 + [capped] * 2).passed
    assert not _ended_figure([SENTENCE] * 7 + [capped] * 3).passed


def test_each_codebook_must_be_used_and_the_error_small():
    def passed(error, *shares):
        codes = CodeReport(num_frames=9, perplexity_share=shares, usage=shares, entropy_nats=shares)
        return [figure.passed for figure in _quantizer_figures(FeatureReport(error, codes))]

    assert passed(0.49, 0.21, 0.3) == [True, True, True]
    assert passed(0.51, 0.19, 0.3) == [False, False, True]
    assert passed(float("nan"), 0.5, 0.5)[0] is False
