"""Recordings of four English voices of Flite, for the figures of `gsv2 fit` in docs/operations.md.

    python -m benchmarks.tables.flite OUT [--sentences grammar [--more 3020]]
    gsv2 corpus build --input OUT/heldout_wav --format folder --out OUT/heldout
    gsv2 fit OUT/train_wav --held-out OUT/heldout --minutes 40 --out OUT/fit \
        --recognizer whisper:FOLDER

Needs the Debian packages `flite` and `fortunes`. 1000 sentences, each spoken by one voice, the
last 40 held out; about 49 minutes. With `--sentences grammar` they are of `plain_english.py`: 20
held out of the same kind (`VOICE_0960` on), and 20 with words in places that training never had
(`VOICE_phrase_0980` on); `--more` adds as many sentences to train on, and leaves the others as they
are. Prints how many clips it wrote.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.tables import plain_english

TEXTS = Path("/usr/share/games/fortunes")
VOICES = ("slt", "rms", "awb", "kal16")
NUM_CLIPS, NUM_HELD_OUT = 1000, 40
_SENTENCE = re.compile(r"(?:(?<=[.!?] )|^)[A-Z][a-z ,']{20,70}[.!?](?= |$)")
_WORDS = range(5, 14)
"""Words of a sentence."""


def main(out: Path, kind: str, num_more: int) -> None:
    """Speak the sentences into OUT/{train,heldout}_wav/en/VOICE."""
    texts = _grammar(num_more) if kind == "grammar" else _fortunes()
    for number, text in enumerate(texts):
        part = "heldout" if NUM_CLIPS - NUM_HELD_OUT <= number < NUM_CLIPS else "train"
        voice = VOICES[number % len(VOICES)]
        is_phrase = kind == "grammar" and NUM_CLIPS - NUM_HELD_OUT // 2 <= number < NUM_CLIPS
        name = f"{voice}_phrase_{number:04d}" if is_phrase else f"{voice}_{number:04d}"
        wav = out / f"{part}_wav" / "en" / voice / f"{name}.wav"
        wav.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", wav], check=True)
        wav.with_suffix(".txt").write_text(text + "\n")
    print(f"{len(texts)} clips in {out}")


def _grammar(num_more: int) -> list[str]:
    num_phrases = NUM_HELD_OUT // 2
    num_plain = NUM_CLIPS - num_phrases
    plain = plain_english.sentences(num_plain + num_more, seed=0)
    phrases = plain_english.held_back_phrases(num_phrases, seed=1)
    return plain[:num_plain] + phrases + plain[num_plain:]


def _fortunes() -> list[str]:
    texts = sorted(set(_sentences()))
    random.Random(0).shuffle(texts)
    return texts[:NUM_CLIPS]


def _sentences() -> Iterator[str]:
    for file in sorted(TEXTS.iterdir()):
        if file.suffix or file.is_symlink() or file.name == "ascii-art":
            continue
        for fortune in file.read_text(errors="ignore").split("\n%\n"):
            for sentence in _SENTENCE.findall(re.sub(r"\s+", " ", fortune)):
                if len(sentence.split()) in _WORDS:
                    yield sentence


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--sentences", choices=("fortunes", "grammar"), default="fortunes")
    parser.add_argument("--more", type=int, default=0, help="sentences of the grammar besides")
    arguments = parser.parse_args()
    if arguments.more and arguments.sentences != "grammar":
        parser.error("--more needs --sentences grammar")
    main(arguments.out, arguments.sentences, arguments.more)
