"""One try at a step, under way: its process, what it prints and says, and what it comes to."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tasker.running.lines import Lines
from tasker.running.process import death

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tasker.pipeline import Step
    from tasker.running.process import StepProcess
    from tasker.running.worker import Job

_CHUNK = 64 * 1024
"""Bytes read from a pipe at once: what Linux lets a pipe hold."""
_LONGEST_REASON = 300
"""Characters of what a step printed last that its error repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an attempt came to."""

    error: str | None = None
    """Why it failed, in one sentence; `None` where it worked."""
    traceback: str = ""
    outputs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


class Attempt:
    """A step's process, and what has been heard of it so far."""

    def __init__(self, job: Job, process: StepProcess, started: float, cut: Callable[[bytearray, int], int]) -> None:
        """Take the process that was started for it; `cut` tells where to cut lines that are too long."""
        self.step: Step = job.step
        self.number = job.context.attempt
        self.started = started
        """Monotonic seconds."""
        self.process = process
        self.ending = ""
        """Why it is being ended; empty while it may run."""
        self.kill_at = 0.0
        self.exit_status: int | None = None
        self.closed = False
        self._mask = job.masker.mask
        self._last_words = ""
        self._lines = {self.process.stdout: Lines(cut), self.process.stderr: Lines(cut)}
        self._answer: dict[str, Any] | None = None

    @property
    def streams(self) -> dict[int, str]:
        """The descriptors that it prints to, with their names."""
        return {self.process.stdout: "stdout", self.process.stderr: "stderr"}

    def read(self, descriptor: int) -> tuple[list[str], bool]:
        """The lines that have come whole on a stream, and whether it has ended."""
        data = _available(descriptor)
        if data is None:
            return [], False
        lines = self._lines[descriptor]
        return self._heard(descriptor, list(lines.feed(data) if data else lines.end())), not data

    def read_rest(self, descriptor: int) -> list[str]:
        """Every line that is left on a stream, nobody being there any more to write to it."""
        found: list[str] = []
        while data := _available(descriptor):
            found += self._lines[descriptor].feed(data)
        return self._heard(descriptor, [*found, *self._lines[descriptor].end()])

    def _heard(self, descriptor: int, lines: list[str]) -> list[str]:
        """The lines, of which the last that complains is kept for the verdict."""
        if descriptor == self.process.stderr:
            self._last_words = next((line for line in reversed(lines) if line.strip()), self._last_words)
        return lines

    def logged(self, packets: int | None = None) -> Iterator[dict[str, Any]]:
        """What the task has logged since the last call; its answer is kept for the verdict."""
        for message in self.process.messages.receive(packets):
            log = message.get("log")
            if isinstance(log, dict):
                yield log
            else:
                self._answer = message

    def verdict(self) -> Verdict:
        """What the attempt came to, once its process has been reaped."""
        answer = self._answer or {}
        if self.ending:
            return Verdict(error=self.ending)
        if "error" in answer:
            told = self._reason() if answer.get("unexplained") else ""
            return Verdict(error=f"{answer['error']}{told}", traceback=str(answer.get("traceback", "")))
        outputs = answer.get("outputs")
        if not isinstance(outputs, dict) or self.exit_status:
            return Verdict(error=death(self.exit_status or 0))
        return Verdict(outputs=outputs)

    def _reason(self) -> str:
        """What it printed last on standard error, to be added to an error; masked before it is cut."""
        words = self._mask(self._last_words).strip()
        cut = f"{words[:_LONGEST_REASON]}…" if len(words) > _LONGEST_REASON else words
        return f": {cut}" if cut else ""

    def close(self) -> None:
        """Let go of the process's descriptors."""
        self.closed = True
        self.process.close()


def _available(descriptor: int) -> bytes | None:
    """What can be read now: nothing at all where the stream has ended, `None` where something may still come."""
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return None
