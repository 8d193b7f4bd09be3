import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from gsv2.audio.speech_encoders.config import SpeechEncoderConfig
from gsv2.audio.speech_encoders.interface import SpeechFeatures
from gsv2.audio.speech_encoders.make import make_speech_encoder
from gsv2.config import config_to_dict
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.format import HOP_LENGTH
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError, Manifest, read_manifest
from gsv2.data.stream.reader import read_clips
from gsv2.inference import clip_features
from gsv2.inference.clip_batches import SharedWork
from gsv2.inference.extraction import ClipEncoding, extract_codes
from gsv2.models.component import ComponentError, save_component
from gsv2.models.quantizer.model import Quantizer, QuantizerConfig
from gsv2.nn.codes import CodeConfig
from gsv2.training.distributed.patient_ranks import PatientRanks
from gsv2.training.distributed.ranks import Distributed
from tests.support.thread_ranks import run_ranks

CPU = torch.device("cpu")


def save_quantizer(path: Path, seed: int) -> Quantizer:
    torch.manual_seed(seed)
    config = QuantizerConfig(
        codes=CodeConfig(codebook_size=16, dim=8),
        speech_encoder=SpeechEncoderConfig(num_mels=20),
        width=16,
        num_blocks=1,
        kernel_size=3,
    )
    quantizer = Quantizer(config)
    mask = torch.ones(2, 100, dtype=torch.bool)
    quantizer.initialise([SpeechFeatures(torch.randn(2, 100, 40), mask)], frames_per_step=100.0)
    values = config_to_dict(config)
    save_component(path, quantizer, kind="quantizer", config=values, provenance={})
    return quantizer.freeze()


@pytest.fixture
def component(tmp_path: Path) -> Path:
    path = tmp_path / "quantizer.safetensors"
    save_quantizer(path, seed=0)
    return path


def read_codes(corpus: Path, codes: Path) -> dict[str, np.ndarray]:
    index = CorpusIndex.open(SourceConfig(path=str(corpus), codes=str(codes)))
    return {clip.key: clip.codes for clip in read_clips(index, ["codes"])}


def test_every_clip_has_the_codes_that_it_has_alone(tiny_corpus, component, tmp_path) -> None:
    quantizer = save_quantizer(component, seed=0)
    seen = []
    work = SharedWork(progress=lambda *counts: seen.append(counts))
    manifest = extract_codes(tiny_corpus.path, component, tmp_path / "codes", CPU, work)
    assert manifest.num_clips == 12
    codes = quantizer.config.codes
    assert manifest.code_format == (2, codes.codebook_size, codes.rate_hz)
    assert manifest.quantizer == quantizer.fingerprint()
    assert seen[-1] == (12, 12)
    codes = read_codes(tiny_corpus.path, tmp_path / "codes")
    encoder = make_speech_encoder(quantizer.config.speech_encoder)
    for clip in read_clips(CorpusIndex.open(tiny_corpus.source), ["audio"]):
        wave = torch.from_numpy(clip.wave)[None, None]
        alone = quantizer.encode(*encoder(wave, torch.tensor([wave.shape[-1]])))[0]
        assert np.array_equal(codes[clip.key], alone.numpy())
        assert codes[clip.key].shape == (2, -(-(wave.shape[-1] // HOP_LENGTH) // 2))


def test_shifted_codes_are_those_of_clips_that_begin_later(
    tiny_corpus, component, tmp_path
) -> None:
    quantizer, shift = save_quantizer(component, seed=0), 320
    extract_codes(
        tiny_corpus.path, component, tmp_path / "codes", CPU, encoding=ClipEncoding(shift)
    )
    codes = read_codes(tiny_corpus.path, tmp_path / "codes")
    encoder = make_speech_encoder(quantizer.config.speech_encoder)
    beside = SourceConfig(path=str(tiny_corpus.path), codes=str(tmp_path / "codes"))
    whole = read_clips(CorpusIndex.open(tiny_corpus.source), ["audio"])
    cut = read_clips(CorpusIndex.open(beside), ["audio", "codes"])
    for clip, shifted in zip(whole, cut, strict=True):
        assert np.array_equal(shifted.wave, clip.wave[shift:]), "the audio of the codes"
        assert np.array_equal(shifted.codes, codes[clip.key])
        wave = torch.from_numpy(clip.wave[shift:])[None, None]
        features = encoder(wave, torch.tensor([wave.shape[-1]]))
        assert np.array_equal(codes[clip.key], quantizer.encode(*features)[0].numpy())


def test_codes_of_another_shift_are_made_anew(tiny_corpus, component, tmp_path) -> None:
    out, of = tmp_path / "codes", (tiny_corpus.path, component)
    made = [
        extract_codes(*of, out, CPU, encoding=ClipEncoding(shift)) for shift in (0, 320, 320, 640)
    ]
    assert [manifest.shift_samples for manifest in made] == [0, 320, 320, 640]
    hashes = [[shard.sha256 for shard in manifest.shards] for manifest in made]
    assert hashes[1] == hashes[2]
    assert hashes[0] != hashes[1] != hashes[3]


def test_codes_depend_neither_on_the_batches_nor_on_the_run(
    tiny_corpus, component, tmp_path, monkeypatch
) -> None:
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder, max_batch_sec in zip(folders, (60.0, 60.0, 0.1), strict=True):
        monkeypatch.setattr(clip_features, "MAX_BATCH_SEC", max_batch_sec)
        extract_codes(tiny_corpus.path, component, folder, CPU)
    first, again, alone = (
        {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*.tar"))}
        for folder in folders
    )
    assert len(first) == 2
    assert first == again == alone


def test_codes_do_not_depend_on_the_number_of_threads(tiny_corpus, component, tmp_path) -> None:
    before, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            extract_codes(tiny_corpus.path, component, tmp_path / str(count), CPU)
            found.append(read_codes(tiny_corpus.path, tmp_path / str(count)))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert other.keys() == found[0].keys()
        assert all(np.array_equal(other[key], found[0][key]) for key in other)


def test_padding_changes_no_code(component) -> None:
    quantizer = save_quantizer(component, seed=0)
    encoder = make_speech_encoder(quantizer.config.speech_encoder)
    generator = torch.Generator().manual_seed(0)
    wave = torch.randn(1, 1, 20_000, generator=generator) * 0.1
    lengths = torch.tensor([wave.shape[-1]])
    alone = quantizer.encode(*encoder(wave, lengths))[0]
    for longest in (20_001, 32_000, 100_000):
        noise = torch.randn(1, 1, longest, generator=generator) * 0.1  # a longer neighbour
        padded = torch.zeros(2, 1, longest)
        padded[0, :, : wave.shape[-1]], padded[1] = wave[0], noise[0]
        codes = quantizer.encode(*encoder(padded, torch.tensor([wave.shape[-1], longest])))[0]
        assert torch.equal(codes[:, : alone.shape[1]], alone)
        assert (codes[:, alone.shape[1] :] == -1).all()


def test_ranks_share_the_shards_and_write_what_one_writes(make_corpus, component, tmp_path) -> None:
    corpus = make_corpus(tmp_path / "corpus", 8, num_speakers=8, seconds=(0.5, 0.9), shard_mb=0.05)

    def contents(name: str) -> dict[Path, bytes]:
        folder = tmp_path / name
        return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    extract_codes(corpus, component, tmp_path / "one", CPU)

    def extract(ranks: Distributed) -> Manifest:
        work = SharedWork(ranks=PatientRanks(ranks))
        return extract_codes(corpus, component, tmp_path / "two", CPU, work)

    first, second = run_ranks(2, extract)
    assert first == second == read_manifest(tmp_path / "one")
    assert len(first.shards) > 2
    assert contents("two") == contents("one")


def test_a_current_sidecar_is_left_and_an_old_one_replaced(
    tiny_corpus, component, tmp_path
) -> None:
    out = tmp_path / "codes"
    made = extract_codes(tiny_corpus.path, component, out, CPU)
    stamp = (out / "corpus.json").stat().st_mtime_ns
    assert extract_codes(tiny_corpus.path, component, out, CPU) == made
    assert (out / "corpus.json").stat().st_mtime_ns == stamp
    other = save_quantizer(component, seed=1)
    assert extract_codes(tiny_corpus.path, component, out, CPU).quantizer == other.fingerprint()


def test_an_ended_call_goes_on_after_its_whole_shards(
    tiny_corpus, component, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(clip_features, "MAX_BATCH_SEC", 0.1)

    def files(folder: Path) -> dict[Path, bytes]:
        return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    class EndedError(Exception):
        pass

    def end(done: int, total: int) -> None:
        if done == total:
            raise EndedError

    extract_codes(tiny_corpus.path, component, tmp_path / "a" / "codes", CPU)
    out = tmp_path / "b" / "codes"
    with pytest.raises(EndedError):
        extract_codes(tiny_corpus.path, component, out, CPU, SharedWork(progress=end))
    assert not out.exists()
    seen = []
    work = SharedWork(progress=lambda *counts: seen.append(counts[0]))
    extract_codes(tiny_corpus.path, component, out, CPU, work)
    assert seen[0] > 1
    assert seen[-1] == 12
    assert files(out) == files(tmp_path / "a" / "codes")
    assert [path.name for path in out.parent.iterdir()] == ["codes"]


def test_an_unreadable_clip_is_left_out_with_a_warning(
    make_corpus, component, tmp_path, caplog
) -> None:
    corpus = make_corpus(tmp_path / "corpus", num_clips=4)
    tar = next(iter(sorted(corpus.rglob("*.tar"))))
    content = bytearray(tar.read_bytes())
    content[content.find(b"fLaC") + 5000] ^= 0xFF
    tar.write_bytes(content)
    with caplog.at_level(logging.WARNING, logger="gsv2.inference.clip_features"):
        manifest = extract_codes(corpus, component, tmp_path / "codes", CPU)
    assert manifest.num_clips == 3
    assert len(caplog.records) == 1
    assert "differs from its checksum" in caplog.text


def test_a_missing_quantizer_or_corpus_is_one_clear_error(tiny_corpus, component, tmp_path) -> None:
    with pytest.raises((ComponentError, ValueError), match="nowhere"):
        extract_codes(tiny_corpus.path, tmp_path / "nowhere", tmp_path / "codes", CPU)
    with pytest.raises(CorpusError, match="nowhere"):
        extract_codes(tmp_path / "nowhere", component, tmp_path / "codes", CPU)
    assert not (tmp_path / "codes").exists()
