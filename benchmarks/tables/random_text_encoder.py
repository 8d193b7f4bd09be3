"""Text vectors of a corpus by a random XLM-R, along the path that those of bge-m3 take."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import XLMRobertaConfig, XLMRobertaModel

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.stream.batch import BadClip
from gsv2.data.stream.reader import read_clips
from gsv2.inference.text_extraction import extract_text_vectors
from gsv2.text.encoders.config import TextVectorsConfig

_DIM = 256
_VOCABULARY = 2000
_MAX_SUBWORDS = 512
_MARKERS = ("<s>", "<pad>", "</s>", "<unk>")


def write_texts(runs: Path, work: Path) -> list[str]:
    """Make the vectors of a fit's corpora; return the overrides that let a run read them.

    Args:
        runs: folder with the corpora and their codes.
        work: folder of the encoder and the vectors, which are made once.
    """
    encoder = TextVectorsConfig(path=str(save_random_encoder(runs / "corpus", work / "encoder")))
    sources = {}
    for part in ("train", "heldout"):
        corpus, texts = runs / "corpus" / part, work / "texts" / part
        extract_text_vectors(corpus, encoder, texts, torch.device("cpu"))
        codes = runs / "codes" / part
        sources[part] = [{"path": str(corpus), "codes": str(codes), "texts": str(texts)}]
    return [
        f"data.sources={json.dumps(sources['train'])}",
        f"data.validation={json.dumps(sources['heldout'])}",
    ]


def save_random_encoder(corpora: Path, folder: Path) -> Path:
    """Save a random network of four layers, and a tokenizer of the texts that it reads."""
    if folder.is_dir():
        return folder
    index = CorpusIndex.open(SourceConfig(path=str(corpora / "train")))
    texts = [clip.text for clip in read_clips(index, ()) if not isinstance(clip, BadClip)]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=list(_MARKERS),
        unk_token=_MARKERS[-1],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=_DIM,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=4 * _DIM,
        max_position_embeddings=_MAX_SUBWORDS + 2,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
        type_vocab_size=1,
    )
    XLMRobertaModel(config).save_pretrained(folder)
    return folder
