"""Quantizer: speech features <-> codes, by grouped residual vector quantization."""
