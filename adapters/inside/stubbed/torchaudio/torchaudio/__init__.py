"""Stands in for torchaudio, which loads sound that text never has."""

__version__ = "0.0.0"
