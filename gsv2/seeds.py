"""Seeds of torch's random numbers, derived from what they belong to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch


def derive_seed(*words: int | str) -> int:
    """Return a seed in 0..2^63-1 that depends on all of `words` and on nothing else."""
    text = "/".join(str(word) for word in words)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def seed_torch(*words: int | str) -> None:
    """Seed torch's default generators, on all devices, from `words`.

    Random numbers of a micro-batch come from (seed, k, phase), so that any number of ranks
    sees the same noise, and a resumed run needs no stored generator state.
    """
    seed = derive_seed(*words)
    torch.default_generator.manual_seed(seed)
    # `torch.manual_seed` would also leave a note with a traceback for every kind of device that is
    # not there: a millisecond, and memory that is never given back.
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)


@dataclass(frozen=True)
class RandomState:
    """Where torch's default generators stand, of the host and of a GPU."""

    host: torch.Tensor
    gpu: torch.Tensor | None
    device: torch.device

    @classmethod
    def of(cls, device: torch.device) -> RandomState:
        """Return the state of now."""
        gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return cls(torch.get_rng_state(), gpu, device)

    def restore(self) -> None:
        """Go back there."""
        torch.set_rng_state(self.host)
        if self.gpu is not None:
            torch.cuda.set_rng_state(self.gpu, self.device)
