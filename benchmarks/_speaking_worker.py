"""A synthesizer that `benchmarks.speaking` starts in any build of gsv2, and lets speak by turns.

    python -P _speaking_worker.py BUNDLE VOICE.wav TRANSCRIPT TEXT CANDIDATES

For every line that it reads it speaks the text, and prints what that took and what came of it:
`TURN {"cpu_sec": ..., "audio_sec": ..., "codes": [...]}`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch

from gsv2.inference.references import load_reference
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.synthesizer import Synthesizer


def main() -> None:
    """Speak until nobody asks for another turn."""
    bundle, voice, transcript, text, candidates = sys.argv[1:]
    torch.set_num_threads(1)
    synthesizer = Synthesizer.from_bundle(Path(bundle), torch.device("cpu"))
    references = synthesizer.enroll([load_reference(voice, transcript)])
    sampling = SamplingConfig(candidates=int(candidates))
    for _ in sys.stdin:
        start = time.process_time()
        speech = synthesizer.synthesize(text, references, sampling=sampling)
        answer = {
            "cpu_sec": time.process_time() - start,
            "audio_sec": len(speech.wave) / speech.sample_rate,
            "codes": [codes.tolist() for codes in speech.codes],
        }
        sys.stdout.write(f"TURN {json.dumps(answer)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
