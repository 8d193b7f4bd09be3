"""gsv2: a distributed training framework for GPT-SoVITS2 text-to-speech."""

__version__ = "0.1.0"
