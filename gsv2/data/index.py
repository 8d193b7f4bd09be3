"""Former place of `gsv2.data.corpus.index`, for scripts that import it; goes with 0.2."""

from gsv2.data.corpus.index import CorpusIndex

__all__ = ["CorpusIndex"]
