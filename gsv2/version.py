"""Version of gsv2, for the package and for what it records."""

__version__ = "0.1.0"
