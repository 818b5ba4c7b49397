"""What is wrong with a file, and where: the record that every check of a configuration answers with.

Not to be confused with `errors`, the exceptions of the running program, nor with `reports`, which shows faults.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

CODES = {
    "unreadable": "the file cannot be read",
    "encoding": "the file is not UTF-8 text",
    "syntax": "the text is not HOCON",
    "too-large": "the file, or what its substitutions expand to, is over a limit",
    "too-deep": "objects, arrays or includes are nested over a limit",
    "not-validated": "validating the file ended unexpectedly",
    "include-missing": "an included file does not exist",
    "include-empty": "an included file has nothing in it",
    "include-cycle": "a file includes itself, directly or not",
    "include-refused": "an include leads out of the conf folder, or to something other than a file",
    "quoted-substitution": "what looks like a substitution stands in quotes, and is text",
    "unresolved-substitution": "a substitution names nothing that is defined",
    "substitution-cycle": "a substitution needs its own value",
    "mixed-concatenation": "values of different kinds stand side by side",
    "missing-key": "a key that must be there is absent",
    "unknown-key": "a key that means nothing here",
    "misspelt-key": "a key that is nearly a reserved one, and that nothing reads",
    "bad-value": "a reserved key has a value that it cannot take",
    "unknown-parameter": "a parameter is set that the pipeline does not declare",
    "bad-parameter": "a parameter is set to a value of another type than it is declared with",
    "unknown-step": "a step is chosen that the pipeline does not have",
    "unknown-task": "a step names a task that is not registered",
    "duplicate-task": "two tasks have one name",
    "broken-task": "a task's module does not import, or its signature cannot be read",
    "missing-extra": "a task needs a package that is not installed",
    "missing-argument": "a mandatory argument of a task is not given",
    "unknown-argument": "an argument that the task does not take",
    "bad-argument": "an argument that does not fit its annotation",
    "duplicate-id": "two steps of a pipeline have one id",
    "merged-steps": "two steps stand side by side without a comma, and are one",
    "unknown-need": "a step needs a step that is not there",
    "cyclic-needs": "steps need each other in a circle",
    "unknown-output": "an output is read that no needed step hands on",
    "bad-cron": "a cron expression cannot be read",
    "never-due": "a cron expression never comes due",
    "unknown-timezone": "no time zone has this name",
    "duplicate-pipeline": "two files make pipelines of one name",
    "unknown-instance": "an instance is asked for that the file does not make",
    "cronjob-differs": "a schedule asks for what a CronJob of Kubernetes cannot do",
}
"""Every code that a fault can have, and what it means. Codes are stable: tools may rely on them."""


class Severity(StrEnum):
    """Whether a fault stops the pipeline it is found in."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A stretch of one line of a file; lines and columns count from one, columns in characters.

    On a command line there are none: `line` is 0 there.
    """

    file: str
    line: int = 1
    column: int = 1
    length: int = 1
    excerpt: str = ""
    """The line's text, cut to a bound; empty where it is not known."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, where it is, and what would mend it."""

    code: str
    """One of `CODES`."""
    place: Place
    message: str
    """One sentence, without a full stop; never a secret's value."""
    hint: str = ""
    """What would mend it: the nearest known name, or the signature that is expected."""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"{self.place}: {self.code}: {self.message}"


def in_order(faults: Iterable[Fault]) -> list[Fault]:
    """The faults by file, line and column, each once."""
    return sorted(dict.fromkeys(faults), key=lambda fault: (fault.place, fault.code, fault.message))
