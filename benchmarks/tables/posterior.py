"""Word errors of a waveform model alone: recordings through its posterior, and through codes.

    python -m benchmarks.tables.posterior BUNDLE CORPUS --recognizer whisper:FOLDER

Neither a code nor a GPT stands before the posterior, so that what a stranger mishears there is the
generator's own. CORPUS is held out, with two clips or more of each voice. Prints a line of JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from gsv2.data.config import SourceConfig
from gsv2.evaluation.estimates import Measurement, estimate_ratio
from gsv2.evaluation.judge_names import load_judges
from gsv2.evaluation.judges import Recognizer
from gsv2.evaluation.sentence import Sentence
from gsv2.evaluation.spoken_errors import count_spoken_errors
from gsv2.fit.sentences import HeldOutSentences
from gsv2.inference.synthesizer import Synthesizer


def main() -> None:
    """Send recordings through the model, have them judged, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("corpus")
    parser.add_argument("--sentences", type=int, default=40)
    parser.add_argument("--recognizer", required=True)
    options = parser.parse_args()
    (recognizer,) = load_judges([options.recognizer], []).recognizers
    sentences = HeldOutSentences(SourceConfig(path=options.corpus), options.sentences)
    print(json.dumps(word_errors(Synthesizer.from_bundle(options.bundle), sentences, recognizer)))


def word_errors(
    synthesizer: Synthesizer, sentences: Sequence[Sentence], recognizer: Recognizer
) -> dict[str, float]:
    """Return WER by what recordings were sent through: `posterior`, `codes`, and nothing."""
    errors: dict[str, list[Measurement]] = {"posterior": [], "codes": [], "recording": []}
    for sentence in sentences:
        for name, wave in _waves(synthesizer, sentence).items():
            heard = recognizer.transcribe(wave, sentence.language)
            counted = count_spoken_errors(sentence.text, heard, sentence.language)
            errors[name].append(counted.words)
    return {name: round(estimate_ratio(found).value, 3) for name, found in errors.items()}


@torch.inference_mode()
def _waves(synthesizer: Synthesizer, sentence: Sentence) -> dict[str, np.ndarray]:
    recording = sentence.recording
    if recording is None:
        raise ValueError(f"sentence {sentence.key} has no recording")
    voice, vits2 = synthesizer.voice(sentence.prompts), synthesizer.vits2
    wave = torch.from_numpy(recording)[None, None].to(synthesizer.device)
    num_frames = wave.shape[-1] // vits2.config.mel.hop_length
    magnitude = vits2.mel.spectrogram(wave)[..., :num_frames]
    lengths = torch.tensor([num_frames], device=synthesizer.device)
    posterior = vits2.reconstruct(magnitude, lengths, voice.style)
    codes = synthesizer.decode(synthesizer.encode(recording), voice, noise_scale=0.0)
    return {"posterior": posterior[0, 0].cpu().numpy(), "codes": codes, "recording": recording}


if __name__ == "__main__":
    main()
