"""Tiny XLM-R with a tokenizer of its own, as a folder like that of bge-m3."""

from __future__ import annotations

from pathlib import Path

import torch

DIM = 16
MAX_SUBWORDS = 24
SIX_SCRIPTS = (
    "The red train is late. Поезд опаздывает сегодня. 今天的火车晚点了。 "
    "القطار متأخر اليوم. आज ट्रेन देर से है। 오늘 기차가 늦었습니다."
)
"""Latin, Cyrillic, Han, Arabic, Devanagari and Hangul, mixed, without a tag."""


def save_text_encoder(folder: Path, seed: int = 0) -> Path:
    """Save a random network and a tokenizer trained on `SIX_SCRIPTS`, as sentencepiece makes it."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import XLMRobertaConfig, XLMRobertaModel

    markers = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=markers, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator([SIX_SCRIPTS, "0 1 2 3 4 5 6 7 8 9"] * 4, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(seed)
    config = XLMRobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=DIM,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=MAX_SUBWORDS + 2,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        type_vocab_size=1,
        initializer_range=0.3,
    )
    XLMRobertaModel(config).save_pretrained(folder)
    return folder
