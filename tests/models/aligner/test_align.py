from __future__ import annotations

import numpy as np
import torch

from gsv2.models.aligner.align import align_texts
from gsv2.models.aligner.viterbi import AlignmentError
from tests.support.tiny_aligner import V, make_aligner


def test_each_clip_gets_the_character_of_each_of_its_frames_or_the_reason_why_not() -> None:
    torch.manual_seed(0)
    codes, lengths = torch.randint(V, (4, 2, 12)), torch.tensor([12, 8, 5, 12])
    texts = ["今天 aab", "abcdefghijkl", "abcdefghijklmno", ""]  # fits, by halves, not, empty
    whole, halved, too_long, empty = align_texts(make_aligner(), codes, lengths, texts)
    assert isinstance(too_long, AlignmentError)
    assert isinstance(empty, AlignmentError)
    for path, length, text, most in ((whole, 12, texts[0], 1), (halved, 8, texts[1], 2)):
        assert not isinstance(path, AlignmentError)
        steps = np.diff(path.characters.astype(int))
        assert len(path.characters) == length
        assert path.characters[-1] == len(text) - 1
        assert steps.min() >= 0
        assert steps.max() <= most


def test_company_does_not_change_an_alignment() -> None:
    torch.manual_seed(0)
    codes, lengths = torch.randint(V, (2, 2, 12)), torch.tensor([7, 12])
    aligner, texts = make_aligner(), ["abc", "नमस्ते दुनिया"]
    together = align_texts(aligner, codes, lengths, texts)
    for i, n in enumerate((7, 12)):
        (alone,) = align_texts(aligner, codes[i : i + 1, :, :n], lengths[i : i + 1], [texts[i]])
        assert not isinstance(alone, AlignmentError)
        assert together[i].characters.tolist() == alone.characters.tolist()
        assert abs(together[i].score - alone.score) < 1e-4
