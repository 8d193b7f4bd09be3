"""Tiny untrained models in the folders that transformers makes of pretrained ones."""

from __future__ import annotations

from pathlib import Path

import torch

LANGUAGES = ("en", "zh", "no")


def save_tiny_whisper(folder: Path, *, multilingual: bool = True) -> Path:
    """Write a Whisper of random weights that knows three languages, or English alone."""
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
        WhisperTokenizer,
    )
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = [*bytes_to_unicode().values()]
    special = ["<|endoftext|>", "<|startoftranscript|>"]
    special += [f"<|{language}|>" for language in LANGUAGES]
    special += ["<|translate|>", "<|transcribe|>", "<|notimestamps|>"]
    vocabulary = {token: number for number, token in enumerate([*letters, *special])}
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    processor = WhisperProcessor(WhisperFeatureExtractor(feature_size=16), tokenizer)
    processor.save_pretrained(folder)
    end, start = vocabulary["<|endoftext|>"], vocabulary["<|startoftranscript|>"]
    ids = {"pad_token_id": end, "bos_token_id": end, "eos_token_id": end}
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=len(vocabulary),
        num_mel_bins=16,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        decoder_start_token_id=start,
        begin_suppress_tokens=None,
        suppress_tokens=None,
        **ids,
    )
    model = WhisperForConditionalGeneration(config)
    options = {"is_multilingual": multilingual, "no_timestamps_token_id": vocabulary[special[-1]]}
    if multilingual:
        options["lang_to_id"] = {f"<|{name}|>": vocabulary[f"<|{name}|>"] for name in LANGUAGES}
        options["task_to_id"] = {
            name: vocabulary[f"<|{name}|>"] for name in ("translate", "transcribe")
        }
    model.generation_config = GenerationConfig(decoder_start_token_id=start, **ids, **options)
    model.save_pretrained(folder)
    return folder


def save_tiny_wavlm(folder: Path) -> Path:
    """Write a WavLM with an x-vector head, of random weights."""
    from transformers import Wav2Vec2FeatureExtractor, WavLMConfig, WavLMForXVector

    torch.manual_seed(0)
    config = WavLMConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8, 8),
        conv_stride=(10, 8, 4),
        conv_kernel=(20, 8, 4),
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
        num_buckets=8,
        max_bucket_distance=16,
        tdnn_dim=(16, 16, 16, 16, 24),
        xvector_output_dim=12,
    )
    WavLMForXVector(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder
