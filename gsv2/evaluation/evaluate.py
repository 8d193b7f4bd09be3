"""Evaluation of a bundle: sentences spoken, judged and reported, on any number of ranks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gsv2.evaluation.bundle_evaluation import hash_bundle
from gsv2.evaluation.judges import Judges
from gsv2.evaluation.page import write_report
from gsv2.evaluation.report import EvaluationReport, make_report
from gsv2.evaluation.sentence import UNKNOWN_LANGUAGE, Sentence
from gsv2.evaluation.sentence_meter import SentenceMeter
from gsv2.evaluation.sentence_result import ResultFolder, SentenceResult, file_name
from gsv2.inference.open_synthesizer import open_synthesizer
from gsv2.inference.sampling import SamplingConfig
from gsv2.training.distributed.patient_ranks import PatientRanks
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.telemetry.progress import counting_bar
from gsv2.training.threads import computing_threads

Progress = Callable[[int, int], None]
"""Called with (sentences done, sentences in all) of this rank."""


def evaluate_bundle(
    bundle: str | Path,
    sentences: Sequence[Sentence],
    out: str | Path,
    *,
    judges: Judges | None = None,
    sampling: SamplingConfig | None = None,
    ranks: Distributed | None = None,
) -> EvaluationReport:
    """Speak sentences with a bundle, judge them, and write what was found.

    `OUT/sentences/` holds the sounds and a JSON file for each sentence, `OUT/evaluation.json` the
    figures, `OUT/index.html` the page. Called again, it goes on: finished sentences are kept.
    Collective: each rank takes every n-th sentence, and all must see the same `out`.

    Args:
        bundle: folder of the bundle; with an aligner, its readings are counted too.
        sentences: what to say in which voice; read one by one, so that a list may load lazily.
        judges: recognisers and speaker encoders; None = none but the aligner.
        sampling: how codes are drawn; same seed, same speech: that of `gsv2 synthesize --seed`.
            None = the defaults.
        ranks: ranks of this process; None = those that the launcher tells of.

    Returns:
        The report, on every rank.

    Raises:
        ValueError: no sentence, two of one key, a bundle or a result that cannot be used.
    """
    ranks = ranks or Distributed()
    out = Path(out)
    folder = ResultFolder(out / "sentences")
    synthesizer = open_synthesizer(bundle, ranks.device)
    judges, sampling = judges or Judges(), sampling or SamplingConfig()
    meter = SentenceMeter(synthesizer, hash_bundle(Path(bundle)), judges, folder, sampling)
    with computing_threads(ranks), counting_bar("speaking and listening") as progress:
        shown = progress if ranks.is_main else None
        keys = _measure(meter, sentences, PatientRanks(ranks), shown)
    results = [result for key in keys if (result := folder.load(key)) is not None]
    candidates = None if synthesizer.aligner is None else sampling.candidates
    notes = [*judges.notes, *_notes(results, judges, candidates)]
    report = make_report(str(bundle), results, notes)
    ranks.on_main(lambda: write_report(report, sentences, folder, out))
    return report


def _measure(
    meter: SentenceMeter,
    sentences: Sequence[Sentence],
    ranks: PatientRanks,
    progress: Progress | None,
) -> list[str]:
    """Measure this rank's sentences; return the keys of all, in order, when all are done."""
    if not len(sentences):
        raise ValueError("an evaluation needs at least one sentence, but got none")

    def measure_own() -> dict[int, str]:
        places = range(ranks.rank, len(sentences), ranks.world)
        keys = {}
        for done, place in enumerate(places):
            if progress:
                progress(done, len(places))
            keys[place] = meter.measure(sentences[place]).key
        if progress:
            progress(len(places), len(places))
        return keys

    own = ranks.on_all(measure_own)
    keys = {place: key for of_rank in ranks.gather(own) for place, key in of_rank.items()}
    names = Counter(file_name(key) for key in keys.values())
    if twice := [name for name, count in names.items() if count > 1]:
        raise ValueError(f"each sentence must have a key of its own, but there are two {twice[0]}")
    return [keys[place] for place in sorted(keys)]


def _notes(
    results: Sequence[SentenceResult], judges: Judges, candidates: int | None
) -> Iterator[str]:
    """Yield what was not measured, and why; `candidates` is None without an aligner."""
    if candidates is None:
        yield "no character errors by the aligner: the bundle has none (gsv2 export with its run)"
    if not any(result.recording_id for result in results):
        yield "no figures of recordings: the sentences have none"
    languages = {result.language for result in results}
    for judge in judges.recognizers:
        if deaf := sorted(language for language in languages if not judge.supports(language)):
            named = ", ".join(deaf)
            hint = " (--language names it)" if UNKNOWN_LANGUAGE in deaf else ""
            yield f"{judge.name} does not know the language {named}{hint}"
    if candidates is not None and candidates > 1:
        yield (
            f"the aligner chose each sentence among {candidates}, so that the errors which "
            "it reads itself flatter the model; those of other judges do not (--candidates 1)"
        )
