"""Circles in a graph: the groups of nodes that all lead to each other, found in one pass (Tarjan, 1972)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def strongly_connected(graph: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """The groups of `graph`, a node with no way back to itself alone; each group after those that it leads to.

    The walk keeps its own stack, since a chain of nodes may be longer than Python's.
    """
    found: dict[str, int] = {}
    lowest: dict[str, int] = {}
    waiting: list[str] = []
    for start in graph:
        walk = [(start, iter(graph[start]))] if start not in found else []
        while walk:
            node, following = walk[-1]
            if node not in found:
                found[node] = lowest[node] = len(found)
                waiting.append(node)
            after = next(following, None)
            if after is None:
                walk.pop()
                if walk:
                    lowest[walk[-1][0]] = min(lowest[walk[-1][0]], lowest[node])
                if lowest[node] == found[node]:
                    yield _group(waiting, node, lowest, len(graph))
            elif after not in found:
                walk.append((after, iter(graph[after])))
            else:
                lowest[node] = min(lowest[node], lowest[after])


def _group(waiting: list[str], first: str, lowest: dict[str, int], closed: int) -> list[str]:
    """Take the group that began with `first` off the nodes that wait; nothing found later can belong to it."""
    at = len(waiting) - 1
    while waiting[at] != first:
        at -= 1
    group = waiting[at:]
    del waiting[at:]
    lowest.update(dict.fromkeys(group, closed))
    return group
