"""Trainings of a decoder that is made from a seed, by which it is measured what being recorded costs."""
