"""What the daemon does, as people read it on a terminal: one line each, as it happens.

Not to be confused with `live`, which draws one run and its steps anew again and again.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tasker.durations import format_duration
from tasker.facts import Event, Level
from tasker.reports import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tasker.facts import Fact
    from tasker.logs import Output, QueuedOutput

_LEVELS = {level: number for number, level in enumerate(Level)}
_PAINT = {"red": "\x1b[31m", "yellow": "\x1b[33m", "green": "\x1b[32m", "cyan": "\x1b[36m", "dim": "\x1b[2m"}
_PLAIN = "\x1b[0m"
_NARROWEST, _WIDEST = 12, 32
"""Columns of the names of pipelines."""
_LONGEST = 2000
"""Characters of what a step printed, or of an error, that are shown; the history has them all."""
_TRACEBACK = 20
"""Lines of a traceback that are shown: the last ones tell most."""
_HIDDEN = {Event.SLOT_DUE, Event.STEP_STARTED}
"""What is followed by more telling facts, and shown only to who asks for everything."""
_INTERRUPTED = ": interrupted: "
"""How the reason for which a run was interrupted may begin."""

_LEVEL_COLOURS = {Level.ERROR: "red", Level.WARNING: "yellow", Level.DEBUG: "dim"}
_PHRASES: Mapping[str, tuple[str, str]] = {
    Event.CONFIG_LOADED: ("cyan", "{file} is valid{due}"),
    Event.CONFIG_INVALID: ("", "{error}{hinted}{in_force}"),
    Event.CONFIG_MENDED: ("green", "{file} has no fault any more"),
    Event.CONFIG_REMOVED: ("cyan", "it is not in {file} any more: no longer scheduled"),
    Event.SLOT_DUE: ("dim", "the slot of {local_slot} has come"),
    Event.SLOT_SKIPPED: ("", "the slot of {local_slot} was {outcome}{why}"),
    Event.SLOT_MISSED: ("", "the slot of {local_slot} was {outcome}{why}"),
    Event.RUN_STARTED: ("", "run {run_id} started{lateness}"),
    Event.RUN_SUCCEEDED: ("green", "succeeded in {took}"),
    Event.RUN_FAILED: ("red", "failed after {took}{why}"),
    Event.RUN_INTERRUPTED: ("", "was interrupted{after}{cause}"),
    Event.STEP_STARTED: ("dim", "attempt {attempt}"),
    Event.STEP_OUTPUT: ("", "{line}"),
    Event.STEP_RETRYING: ("", "attempt {attempt} failed{why}; trying again in {wait}"),
    Event.STEP_SUCCEEDED: ("dim", "succeeded in {took}"),
    Event.STEP_FAILED: ("red", "failed after {took}{why}"),
    Event.STEP_SKIPPED: ("dim", "skipped{why}"),
    Event.DAEMON_STARTED: ("cyan", "watching {folder}{empty}{rest}"),
    Event.DAEMON_RELOADING: ("cyan", "importing and validating everything anew{listed}"),
    Event.DAEMON_STOPPING: ("", "stopping: nothing new starts{listed}"),
    Event.DAEMON_STOPPED: ("cyan", "stopped"),
    Event.DAEMON_TROUBLED: ("red", "trouble with the {what}{why}"),
    Event.DAEMON_RECOVERED: ("green", "the {what} works again"),
    Event.CLOCK_STEPPED: ("", "the clock was set by {by_s} s"),
    Event.HISTORY_UNAVAILABLE: ("", "the history does not have this{why}"),
    Event.RESUME_NOTHING: ("", "there is nothing to resume{why}"),
}
"""The colour and the words of each event; those of errors and warnings have the colour of these."""


class ConsoleLog:
    """Writes a line for people for each fact, as `JsonLog` does for machines."""

    def __init__(self, stream: Output | QueuedOutput, *, level: Level = Level.INFO, colour: bool = False) -> None:
        """Write what is of `level` or above to `stream`, in the encoding and the time zone of the terminal."""
        self._stream = stream
        self._least = _LEVELS[level]
        self._colour = colour
        self._encoding = sys.stdout.encoding or "utf-8"
        self._width = _NARROWEST
        self._day = ""

    def observe(self, fact: Fact) -> None:
        """Tell of a fact, where it is one for people."""
        if _LEVELS[fact.level] >= self._least and (fact.event not in _HIDDEN or self._least == 0):
            self._stream.write(self.told(fact))

    def told(self, fact: Fact) -> bytes:
        """The lines that tell of a fact, the day before the first one of it."""
        at = fact.at.astimezone()
        self._width = min(max(self._width, len(fact.pipeline or "")), _WIDEST)
        colour, words = _words(fact)
        who = f"{visible('tasker' if fact.pipeline is None else fact.pipeline):{self._width}}"
        step = self._painted("dim", f"{visible(fact.step)}: " if fact.step else "")
        lines = [
            *self._new_day(at),
            f"{self._painted('dim', f'{at:%H:%M:%S}')}  {who}  {step}{self._painted(colour, _cut(words))}",
            *(self._painted("dim", f"    {_cut(line)}") for line in _traceback(fact.details)),
        ]
        return "".join(f"{line}\n" for line in lines).encode(self._encoding, errors="backslashreplace")

    def _new_day(self, at: datetime) -> Iterator[str]:
        day = f"{at:%A, %d %B %Y}"
        if day != self._day:
            self._day = day
            yield self._painted("dim", day)

    def _painted(self, colour: str, text: str) -> str:
        return f"{_PAINT[colour]}{text}{_PLAIN}" if self._colour and colour and text else text


def _words(fact: Fact) -> tuple[str, str]:
    """The colour and the words of a fact; what is none of the events is a task's own words."""
    colour, phrase = _PHRASES.get(fact.event, ("", "{event}{listed}"))
    return _LEVEL_COLOURS.get(fact.level, colour), phrase.format_map(_Said(fact))


def said(fact: Fact) -> str:
    """The words of a fact, and of which pipeline it is, on one line."""
    return _cut(f"{fact.pipeline}: {_words(fact)[1]}" if fact.pipeline else _words(fact)[1])


class _Said:
    """What the phrases ask for, made of a fact when they ask."""

    def __init__(self, fact: Fact) -> None:
        self._fact = fact

    def __getitem__(self, name: str) -> Any:
        told = self._fact.details
        made = _MADE.get(name)
        return made(told) if made else told.get(name) or getattr(self._fact, name, "")


def _reason(told: Mapping[str, Any]) -> str:
    reason = told.get("error") or told.get("reason")
    return f": {reason}" if reason else ""


def _hint(told: Mapping[str, Any]) -> str:
    return f" ({told['hint']})" if told.get("hint") else ""


def _in_force(told: Mapping[str, Any]) -> str:
    """What of a file is still scheduled though it has a fault."""
    return f"; the last good version stays in force: {told['runs_on']}" if told.get("runs_on") else ""


def _due(told: Mapping[str, Any]) -> str:
    """When a pipeline is due next."""
    if not told.get("cron"):
        return "; it has no schedule"
    return f"; next due {_moment(told['next_slot'])}" if told.get("next_slot") else "; it is never due again"


def _empty(told: Mapping[str, Any]) -> str:
    return "" if told.get("files", 1) else ", in which there is no conf file yet"


def _listed(told: Mapping[str, Any]) -> str:
    return "".join(f" {key}={value}" for key, value in told.items() if key != "traceback")


def _rest(told: Mapping[str, Any]) -> str:
    """What is told of the start of a daemon beside the folder."""
    return _listed({key: value for key, value in told.items() if key not in {"folder", "files"}})


def _slot(told: Mapping[str, Any]) -> str:
    return _moment(told.get("slot"))


def _moment(text: Any) -> str:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return str(text)
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def _lateness(told: Mapping[str, Any]) -> str:
    """How late a run is, where that is worth a word, and what it goes on with."""
    late_s = told.get("late_s") or 0
    late = f", {_duration(late_s)} late" if late_s >= 1 else ""
    return f"{late}, resuming {told['resumed_from']}" if told.get("resumed_from") else late


def _took(told: Mapping[str, Any]) -> str:
    return _duration(told.get("duration_s"))


def _after(told: Mapping[str, Any]) -> str:
    return f" after {_took(told)}" if told.get("duration_s") is not None else ""


def _cause(told: Mapping[str, Any]) -> str:
    """Why a run was interrupted, without saying a second time that it was."""
    reason = _reason(told)
    return f": {reason.removeprefix(_INTERRUPTED)}" if reason.startswith(_INTERRUPTED) else reason


def _wait(told: Mapping[str, Any]) -> str:
    return _duration(told.get("delay_s"))


def _duration(seconds: float | None) -> str:
    return format_duration(timedelta(milliseconds=round((seconds or 0) * 1000)))


def _traceback(told: Mapping[str, Any]) -> list[str]:
    return str(told.get("traceback") or "").splitlines()[-_TRACEBACK:]


def _cut(text: str) -> str:
    """The text on one line, with every character to be seen, and no longer than anyone reads."""
    text = text.replace("\n", " ")
    return visible(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)")


_MADE: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "why": _reason,
    "hinted": _hint,
    "in_force": _in_force,
    "due": _due,
    "empty": _empty,
    "rest": _rest,
    "after": _after,
    "cause": _cause,
    "listed": _listed,
    "local_slot": _slot,
    "lateness": _lateness,
    "took": _took,
    "wait": _wait,
}
"""What a phrase may ask for beside the details as they are."""
