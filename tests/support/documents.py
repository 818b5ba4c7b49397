"""Documents without a disk: a folder in memory, an environment and secrets that are given."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from tasker.document import Document, Limits, OutsideFolderError, Peek, Template, plain
from tasker.errors import InvalidFileError
from tasker.faults import Fault

NAME = "main.conf"
NEW_LINE = "⏎"
"""Stands for a new line where a document is written on one."""


@dataclass
class MemoryFolder:
    """A conf folder that is a mapping of paths to contents."""

    contents: Mapping[str, str | bytes]
    read_paths: list[str] = field(default_factory=list)

    def read(self, path: str) -> bytes:
        self.read_paths.append(path)
        if path.startswith(".."):
            raise OutsideFolderError(path)
        if path not in self.contents:
            raise FileNotFoundError(2, "No such file or directory")
        content = self.contents[path]
        return content.encode() if isinstance(content, str) else content

    def shown(self, path: str) -> str:
        return path


def document(
    text: str | bytes,
    files: Mapping[str, str | bytes] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    variables: Callable[[str, Peek], str | None] | None = None,
    secrets: Mapping[str, str] | None = None,
    overrides: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    partial: bool = False,
    of_a_run: Collection[str] = (),
) -> Document:
    """The document that `text` makes, with `files` beside it to include; where `partial`, even one with faults."""
    template = Template(
        NAME,
        folder=MemoryFolder({NAME: text, **(files or {})}),
        secrets=(secrets or {}).get,
        overrides=overrides or {},
        limits=limits or Limits(),
        of_a_run=of_a_run,
    )
    variables = variables or (lambda name, _: (environment or {}).get(name))
    assert template.entries(variables) is None
    made = template.document(variables)
    if made.faults and not partial:
        raise InvalidFileError(made.faults)
    return made


def tree(text: str | bytes, files: Mapping[str, str | bytes] | None = None, **given: Any) -> Any:
    """The document's tree as Python data."""
    return plain(document(text, files, **given).root)


def faults(text: str | bytes, files: Mapping[str, str | bytes] | None = None, **given: Any) -> list[Fault]:
    """What is wrong with the document; nothing where it loads."""
    try:
        document(text, files, **given)
    except InvalidFileError as error:
        return list(error.faults)
    return []


def places(text: str | bytes, files: Mapping[str, str | bytes] | None = None, **given: Any) -> list[str]:
    """The faults as `file:line:column: code`, the main file's own as `line:column: code`."""
    return [f"{fault.place}: {fault.code}".removeprefix(f"{NAME}:") for fault in faults(text, files, **given)]
