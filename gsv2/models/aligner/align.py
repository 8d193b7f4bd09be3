"""Alignment: codes and their text -> the character that is spoken at each code frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gsv2.models.aligner.characters import BLANK, column_log_probs
from gsv2.models.aligner.model import Aligner
from gsv2.models.aligner.viterbi import Alignment, AlignmentError, align_characters


@torch.no_grad()
def align_texts(
    aligner: Aligner, codes: Tensor, lengths: Tensor, texts: Sequence[str]
) -> list[Alignment | AlignmentError]:
    """Align clips with their texts in NFC.

    A clip with more characters than frames is aligned by half frames; each frame has the
    character of its later half then, and may move on by two.

    Args:
        aligner: trained, in evaluation mode.
        codes: [C, K, T] int64.
        lengths: [C] int64, in code frames.
        texts: C of them.

    Returns:
        For each clip its alignment, [T] characters, or why there is none.
    """
    encoded = aligner.vocabulary.encode(texts)
    is_doubled = encoded.required.to(lengths.device) > lengths
    output = aligner(codes, lengths, is_doubled)
    log_probs = column_log_probs(output.logits, encoded.classes.to(codes.device)).cpu().numpy()
    found: list[Alignment | AlignmentError] = []
    for i, length in enumerate(output.lengths.tolist()):
        targets = encoded.targets[i, : int(encoded.lengths[i])].numpy()
        try:
            path = align_characters(log_probs[i, :length], targets, BLANK)
        except AlignmentError as error:
            found.append(error)
            continue
        found.append(path._replace(characters=_whole_frames(path.characters, is_doubled[i])))
    return found


def _whole_frames(characters: np.ndarray, is_doubled: Tensor) -> np.ndarray:
    return characters[1::2] if bool(is_doubled) else characters
