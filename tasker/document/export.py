"""The resolved tree as pyhocon's `ConfigTree`, for Python callers, and for its `HOCONConverter`."""

from __future__ import annotations

from typing import Any

from pyhocon import ConfigTree

from tasker.document.values import Array, Object, Value, plain


def config_tree(value: Value) -> Any:
    """The value as pyhocon has it: keys with dots in quotes, secrets masked, late parts as they are written."""
    if isinstance(value, Object):
        tree = ConfigTree()
        for key, child in value.fields.items():
            tree[key if ConfigTree.parse_key(key) == [key] else f'"{key}"'] = config_tree(child)
        return tree
    if isinstance(value, Array):
        return [config_tree(item) for item in value.items]
    return plain(value, masked=True)
