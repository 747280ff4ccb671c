"""Trainer against inference engine: how likely the same tokens are to each, and to float64."""
