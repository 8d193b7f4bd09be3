"""Speech in the voice of a recording.

    python examples/speak.py runs/quickstart/bundle VOICE.wav "What it says." "To speak." out.wav

`gsv2 synthesize` does the same from the command line.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import soundfile

from gsv2 import Synthesizer, load_references


def main(arguments: Sequence[str] | None = None) -> None:
    """Speak, and say how long it lasts."""
    parser = argparse.ArgumentParser(description="Speak a text in the voice of a recording.")
    parser.add_argument("bundle", type=Path, help="folder that `gsv2 export` wrote")
    parser.add_argument("voice", type=Path, help="recording of the voice, 0.5 to 30 s")
    parser.add_argument("transcript", help="text that the recording says")
    parser.add_argument("text", help="text to speak, in any language and script")
    parser.add_argument("out", type=Path, help="audio file to write")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same speech")
    options = parser.parse_args(arguments)

    references = load_references([options.voice], [options.transcript])
    synthesizer = Synthesizer.from_bundle(options.bundle)
    speech = synthesizer.synthesize(options.text, references, seed=options.seed)
    soundfile.write(options.out, speech.wave, speech.sample_rate)
    print(f"{options.out}: {len(speech.wave) / speech.sample_rate:.2f} s")


if __name__ == "__main__":
    main()
