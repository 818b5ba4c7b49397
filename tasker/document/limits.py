"""The bounds on what a document may cost, so that no text, however hostile, takes time or memory without bound."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a document may be. The defaults leave room for anything a person would write."""

    file_size: int = 1 << 20
    """Bytes in one file: what a Kubernetes ConfigMap can hold."""
    total_size: int = 4 << 20
    """Bytes in a file and everything it includes."""
    files: int = 1_100
    """Files that one document may be made of: one for each of the entries that `for_each` may have, and some more."""
    include_depth: int = 20
    """Files that include one the next; each takes a few frames of the stack."""
    nesting: int = 64
    """Levels of objects and arrays, as written and as resolved; whoever walks the tree may recurse."""
    links: int = 60
    """Substitutions, and arrays around them, that lead one to the next; each takes up to ten frames of the stack."""
    merges: int = 300_000
    """Fields and elements that merging, including and joining may copy; about a second of work."""
    instance_merges: int = 500
    """How many more there may be for each entry of `for_each`."""
    faults: int = 100
    """Faults after which resolving gives up: who has so many mends those first."""
    weight: int = 32 << 20
    """What the resolved tree weighs with every shared part counted each time: `VALUE_WEIGHT` a value, 1 a character.

    The trees of all entries of `for_each` weigh no more than that together, with what they share counted once.
    """


VALUE_WEIGHT = 32
"""What a value weighs besides its characters: about the bytes that Python spends on it."""
