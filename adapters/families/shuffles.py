"""Shuffles that frameworks make of the rows of a sampling, and the seeds of torch that leave rows in their steps."""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import torch
from torch.utils.data import DataLoader, RandomSampler

MOST_OF_ONCE, MOST_OF_EPOCHS = 100_000, 20_000
"""Seeds that may have to be tried, on average, by `seed_of_once` and `seed_of_epochs`: some seconds."""


def orders(steps: int, share: int) -> int:
    """Of how many orders one leaves `share` rows of each step in that step, at the average."""
    return math.factorial(steps * share) // math.prod([math.factorial(share)] * steps)


@functools.cache
def seed_of_once(steps: int, share: int) -> int:
    """The first seed of torch by which `torch.randperm` leaves `share` places of each step in that step."""
    step = torch.arange(steps * share) // share
    for seed in itertools.count():
        order = torch.randperm(steps * share, generator=torch.Generator().manual_seed(seed))
        if torch.equal(order // share, step):
            return seed
    raise AssertionError("there is no last seed")


def shuffled(places: int, epochs: int) -> list[list[int]]:
    """What a torch.utils.data.DataLoader that shuffles deals in each epoch, if it draws next from torch's generator,
    which stays as it is."""
    with torch.random.fork_rng(devices=[]):
        rows: Any = range(places)
        loader: Any = DataLoader(rows, batch_size=None, shuffle=True)
        return [[int(place) for place in loader] for _ in range(epochs)]


@functools.cache
def seed_of_epochs(steps: int, share: int, epochs: int) -> int:
    """The first seed of torch by which all epochs have the same `share` places in each step."""
    with torch.random.fork_rng(devices=[]):
        found = next(number for number in itertools.count() if _alike(_drawn(number, steps * share, epochs), share))
        torch.manual_seed(found)
        if not _alike(shuffled(steps * share, epochs), share):
            raise RuntimeError("torch's DataLoader draws otherwise than is known here")
    return found


def _alike(dealt: list[list[int]], share: int) -> bool:
    """Whether all epochs have the same places in each step."""
    parts = [[set(places[at : at + share]) for at in range(0, len(places), share)] for places in dealt]
    return all(part == parts[0] for part in parts)


def _drawn(number: int, places: int, epochs: int) -> list[list[int]]:
    """After this seed, what `shuffled` would give, in a quarter of its time: no loader is made."""
    torch.default_generator.manual_seed(number)  # of a CPU alone; torch.manual_seed notes for all devices who asked
    sampler = RandomSampler(range(places))
    dealt = []
    for _ in range(epochs):
        torch.empty((), dtype=torch.int64).random_()  # a loader draws the seed of its workers first
        dealt.append([int(place) for place in sampler])
    return dealt
