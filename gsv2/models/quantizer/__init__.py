"""The quantizer: speech features <-> codes, by grouped residual vector quantization."""
