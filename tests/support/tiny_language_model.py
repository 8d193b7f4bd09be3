"""Tiny text LM of the Qwen2 family with a byte-level BPE, as a folder like published ones."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.support.tiny_text_encoder import SIX_SCRIPTS

PADDED_ROWS = 7
"""Rows of the word embeddings that no subword has: published ones are padded too."""


def save_language_model(
    folder: Path, *, dim: int = 32, num_layers: int = 2, tied: bool = True, shard: str = "50GB"
) -> Path:
    """Save a random LM of 2 heads of queries and 1 of keys, in bfloat16, and its tokenizer."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([SIX_SCRIPTS] * 4, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(3)
    config = Qwen2Config(
        vocab_size=tokenizer.get_vocab_size() + PADDED_ROWS,
        hidden_size=dim,
        intermediate_size=48,
        num_hidden_layers=num_layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        tie_word_embeddings=tied,
    )
    model = Qwen2ForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder, max_shard_size=shard)
    return folder
