"""Which files of a task folder hold a task's code, with a digest: its module, and the neighbours that this imports."""

from __future__ import annotations

import ast
import sys
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from tasker.discovery import is_of_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasker.task import Task


def code_files(task: type[Task]) -> tuple[str, ...]:
    """The absolute paths of the files, sorted; none for a task that comes from no task folder."""
    file = getattr(sys.modules.get(task.__module__), "__file__", None)
    if not file or not is_of_folder(task.__module__):
        return ()
    return _files_of(file)


def code_digest(task: type[Task]) -> str:
    """A digest of a task's code as it is when this is first asked for; empty where it cannot be read.

    Of a task that comes from no task folder, its own module is the code.
    """
    own = getattr(sys.modules.get(task.__module__), "__file__", None)
    return _digest_of(code_files(task) or ((own,) if own else ()))


@cache
def _digest_of(files: tuple[str, ...]) -> str:
    try:
        texts = [Path(file).read_bytes() for file in files]
    except OSError:
        return ""
    return sha256(b"".join(sha256(text).digest() for text in texts)).hexdigest() if texts else ""


@cache
def _files_of(module: str) -> tuple[str, ...]:
    """The file of a module, and those of its neighbours; looked for once, as a module is imported once."""
    found: set[Path] = set()
    waiting = [Path(module)]
    while waiting:
        if (path := waiting.pop()) not in found:
            found.add(path)
            waiting += _imported(path)
    return tuple(sorted(map(str, found)))


def _imported(file: Path) -> Iterator[Path]:
    """The files that one imports from the folder that it is in, or from folders around and below that."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        level, parts, names = _relative(node)
        if level:
            folder = file.parents[min(level, len(file.parents)) - 1]
            for each in (parts, *([*parts, name] for name in names)):
                yield from _modules(folder, each)


def _relative(node: ast.AST) -> tuple[int, list[str], list[str]]:
    """The dots of a relative import, the module behind them, and what is imported from that; no dots if it is none.

    `import_module(".x", __package__)` is one, too.
    """
    match node:
        case ast.ImportFrom(module=module, names=names, level=level):
            return level, module.split(".") if module else [], [alias.name for alias in names]
        case ast.Call(
            func=ast.Attribute(attr="import_module") | ast.Name(id="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            module = name.lstrip(".")
            return len(name) - len(module), module.split(".") if module else [], []
    return 0, [], []


def _modules(folder: Path, parts: list[str]) -> Iterator[Path]:
    """The file of a module, and those of the packages that it is in."""
    for count in range(len(parts) + 1):
        path = folder.joinpath(*parts[:count])
        yield from (each for each in (path.with_suffix(".py"), path / "__init__.py") if count and each.is_file())
