"""Meter of sentences: speaks each one, lets every judge hear it, and keeps what was found.

What is there from an earlier call stays: speech of the same bundle, text, voice and seed is not
spoken again, and a judge that has judged it is not asked again.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict

import numpy as np

from gsv2.audio.wave import load_wave, save_wave
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.evaluation.estimates import Measurement
from gsv2.evaluation.judges import Judges, Recognizer, SpeakerEncoder
from gsv2.evaluation.own_figures import CODES, SOUND, aligner_readings, sound_measures
from gsv2.evaluation.sentence import Sentence, wave_hash
from gsv2.evaluation.sentence_result import SOURCES, ResultFolder, SentenceResult
from gsv2.evaluation.spoken_errors import count_spoken_errors
from gsv2.inference.references import VoiceError
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.speech import Speech
from gsv2.inference.synthesizer import Synthesizer
from gsv2.inference.text_synthesizer import TextSynthesizer

_DIGITS = 6
"""Decimals of a voice's vector in a result."""


class SentenceMeter:
    """Measures one sentence after the other."""

    def __init__(
        self,
        synthesizer: Synthesizer | TextSynthesizer,
        bundle_hash: str,
        judges: Judges,
        folder: ResultFolder,
        sampling: SamplingConfig,
    ) -> None:
        self._synthesizer = synthesizer
        self._bundle_hash = bundle_hash
        self._judges = judges
        self._folder = folder
        self._sampling = sampling

    def measure(self, sentence: Sentence) -> SentenceResult:
        """Return the result of a sentence, which is written too."""
        fingerprint = self._fingerprint(sentence)
        result = self._folder.load(sentence.key)
        if result is None or result.fingerprint != fingerprint or not self._has_sounds(result):
            result = self._speak(sentence, fingerprint)
            self._folder.save(result)
        if result.failure is None and self._judge(sentence, result):
            self._folder.save(result)
        return result

    def _has_sounds(self, result: SentenceResult) -> bool:
        sources = SOURCES[:2] if result.recording_id else SOURCES[:1]
        whole = all(self._folder.wave(result.key, source).is_file() for source in sources)
        return whole or result.failure is not None

    def _speak(self, sentence: Sentence, fingerprint: str) -> SentenceResult:
        """Speak a sentence and take the figures that need no judge from outside."""
        recording = sentence.recording
        result = SentenceResult(
            key=sentence.key,
            text=sentence.text,
            language=sentence.language,
            speaker=sentence.speaker,
            fingerprint=fingerprint,
            prompt_ids=[wave_hash(prompt.wave) for prompt in sentence.prompts],
            recording_id=None if recording is None else wave_hash(recording),
            further_ids=[wave_hash(wave) for wave in sentence.further],
        )
        start = time.monotonic()
        try:
            speech = self._synthesizer.synthesize(
                sentence.text, sentence.prompts, seed=self._sampling.seed, sampling=self._sampling
            )
        except VoiceError as error:
            result.failure = str(error)
            return result
        result.compute_sec = time.monotonic() - start
        result.speech_sec = len(speech.wave) / speech.sample_rate
        result.ended = speech.ended
        save_wave(self._folder.wave(result.key, "generated"), speech.wave, SAMPLE_RATE)
        if recording is not None:
            self._resynthesise(sentence, recording)
        self._take_figures(sentence, result, speech)
        return result

    def _resynthesise(self, sentence: Sentence, recording: np.ndarray) -> None:
        """Send the recording through its codes, in the voice of the prompts.

        Where the waveform model reads text, through the posterior.
        """
        voice = self._synthesizer.voice(sentence.prompts)
        wave = self._synthesizer.resynthesise(recording, voice)
        save_wave(self._folder.wave(sentence.key, "resynthesis"), wave, SAMPLE_RATE)

    def _take_figures(self, sentence: Sentence, result: SentenceResult, speech: Speech) -> None:
        waves = self._waves(sentence, result)
        result.measures = sound_measures(self._synthesizer, sentence, waves)
        result.measures["unended"] = {"generated": Measurement(float(not result.ended))}
        time_spent = Measurement(result.compute_sec, result.speech_sec)
        result.measures["real_time_factor"] = {"generated": time_spent}
        readings = aligner_readings(self._synthesizer, sentence, speech, waves)
        for figure, by_source in readings.items():
            result.measures[figure] = {name: found.errors for name, found in by_source.items()}
            judge = {CODES: "aligner", SOUND: "aligner, of the sound"}[figure]
            result.readings[judge] = {name: found.text for name, found in by_source.items()}

    def _judge(self, sentence: Sentence, result: SentenceResult) -> bool:
        """Ask the judges that have not judged yet; tell whether there were any."""
        judges = self._judges
        listeners = [judge for judge in judges.recognizers if not _has_judged(judge, result)]
        encoders = [judge for judge in judges.encoders if not _has_judged(judge, result)]
        if not listeners and not encoders:
            return False
        waves = self._waves(sentence, result)
        for listener in listeners:
            _transcribe(listener, result, waves)
            result.judged[listener.name] = listener.identity
        for encoder in encoders:
            _embed(encoder, result, sentence, waves)
            result.judged[encoder.name] = encoder.identity
        return True

    def _waves(self, sentence: Sentence, result: SentenceResult) -> dict[str, np.ndarray]:
        """Return source -> sound, as it was written: judges hear what a listener would."""
        sources = SOURCES[:2] if result.recording_id else SOURCES[:1]
        waves = {
            name: load_wave(self._folder.wave(result.key, name), SAMPLE_RATE) for name in sources
        }
        return waves if sentence.recording is None else {**waves, "recording": sentence.recording}

    def _fingerprint(self, sentence: Sentence) -> str:
        recording = sentence.recording
        prompts = [(wave_hash(p.wave), p.text, p.weight) for p in sentence.prompts]
        depends_on = [
            self._bundle_hash,
            [sentence.text, sentence.language, sentence.speaker],
            prompts,
            None if recording is None else wave_hash(recording),
            [wave_hash(wave) for wave in sentence.further],
            [self._sampling.seed, asdict(self._sampling)],
        ]
        return hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()[:16]


def _has_judged(judge: Recognizer | SpeakerEncoder, result: SentenceResult) -> bool:
    return result.judged.get(judge.name) == judge.identity


def _transcribe(judge: Recognizer, result: SentenceResult, waves: dict[str, np.ndarray]) -> None:
    words, characters = f"wer/{judge.name}", f"cer/{judge.name}"
    for name in (words, characters):
        result.measures.pop(name, None)
    result.readings.pop(judge.name, None)
    if not judge.supports(result.language):
        return
    heard = {source: judge.transcribe(wave, result.language) for source, wave in waves.items()}
    errors = {
        name: count_spoken_errors(result.text, text, result.language)
        for name, text in heard.items()
    }
    result.readings[judge.name] = heard
    result.measures[words] = {name: found.words for name, found in errors.items()}
    result.measures[characters] = {name: found.characters for name, found in errors.items()}


def _embed(
    judge: SpeakerEncoder, result: SentenceResult, sentence: Sentence, waves: dict[str, np.ndarray]
) -> None:
    heard = {source: wave for source, wave in waves.items() if source != "recording"}
    if result.recording_id is not None and sentence.recording is not None:
        heard[result.recording_id] = sentence.recording
    heard |= dict(zip(result.prompt_ids, (p.wave for p in sentence.prompts), strict=True))
    heard |= dict(zip(result.further_ids, sentence.further, strict=True))
    result.voices[judge.name] = {
        name: np.round(judge.embed(wave).astype(np.float64), _DIGITS).tolist()
        for name, wave in heard.items()
    }
