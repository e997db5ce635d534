"""Statistics."""

from __future__ import annotations


def statistics(place, visit):
    raise NotImplementedError


def plot(place, visit):
    raise NotImplementedError
