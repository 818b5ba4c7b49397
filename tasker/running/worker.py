"""What happens inside a step's process: the task is made, its late arguments bound, `run()` called, the answer sent.

Not to be confused with `runner`, which is the other side of the channel.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, is_dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from tasker.conversion import Mismatch, convert
from tasker.document.values import Scalar
from tasker.jsonable import jsonable, text
from tasker.pipeline import LateArgument
from tasker.references import Known, MissingOutputError, resolved
from tasker.running.channel import LARGEST_MESSAGE, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from tasker.masking import Masker
    from tasker.pipeline import Step
    from tasker.running.channel import Sender
    from tasker.task import Context, Logger, Task

OUTPUTS_LIMIT = 1024 * 1024
"""Characters that the outputs of one step may have as JSON: what is larger belongs in a file, and its path here."""
_LONGEST_TEXT = 64 * 1024
"""Characters of an error or a traceback that are told: of longer ones the beginning and the end."""


class StepStoppedError(BaseException):
    """Raised inside `run()` where the step is told to end, so that its `finally` blocks still tidy up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything that one attempt at a step needs to know."""

    step: Step
    task: type[Task]
    context: Context
    known: Known
    """What the run knows of what the step's late arguments refer to."""
    environment: Mapping[str, str]
    """Variables to set in the process beside those that it inherits."""
    masker: Masker
    """Hides secrets in what is cut: half a secret would be recognised by nobody."""


def work(job: Job, sender: Sender) -> None:
    """Carry out an attempt and send its answer: `{"outputs": …}` or `{"error": …, "traceback": …}`.

    Of a `run()` that answered False it has `"unexplained": True`: what it printed last may say more than its error.
    """
    process = os.getpid()
    signal.signal(signal.SIGTERM, _stop)
    answer = _answer(job, sender)
    if os.getpid() == process:
        sender.send(answer)
    else:
        # A fork of the task's own that came back from `run()`: what it has to say is not the step's answer.
        sys.stderr.write(answer.get("traceback", ""))


def _answer(job: Job, sender: Sender) -> dict[str, Any]:
    try:
        return {"outputs": _outputs(_run(job, sender))}
    except StepStoppedError:
        return {"error": "it was told to end"}
    except SystemExit as error:
        return {"error": f"the task called sys.exit({text(error.code)}) instead of answering"}
    except _FalseError as error:
        return {"error": str(error), "unexplained": True}
    except _StepError as error:
        return {"error": str(error)}
    except BaseException as error:  # noqa: BLE001 - whatever a task raises is a failed step, told with its traceback
        mask = job.masker.mask
        return {"error": _summary(error, mask), "traceback": _traceback(error, mask)}


class _StepError(Exception):
    """A failure for which the message says everything that a traceback would."""


class _FalseError(_StepError):
    """`run()` answered False."""


def _run(job: Job, sender: Sender) -> object:
    os.environ.update(job.environment)
    tempfile.tempdir = None
    arguments = dict(_arguments(job))
    log = _Log(sender, job.masker.mask)
    task = job.task.__new__(job.task)
    task.context = job.context
    task.logger = log.logger()
    task.__init__()  # type: ignore[misc]  # logger and context are there for the author's __init__, too
    answer = task.run(**arguments)
    if answer is False:
        reason = log.last_error or "run() answered False"
        raise _FalseError(reason)
    return answer


def _arguments(job: Job) -> Iterator[tuple[str, object]]:
    """What `run()` is called with, late arguments bound; those that come to nothing are left out where they can be."""
    for name, argument in job.step.arguments.items():
        if not isinstance(argument, LateArgument):
            yield name, argument
            continue
        try:
            value = resolved(argument.value, job.known, job.masker.mask)
            if value is not None or not argument.spared:
                yield name, convert(value or Scalar(argument.value.span, None, "null"), argument.annotation)
        except Mismatch as mismatch:
            raise _argument_error(name, "; ".join(message for _, message in mismatch.problems)) from None
        except MissingOutputError as error:
            raise _argument_error(name, str(error)) from None


def _argument_error(name: str, reason: str) -> _StepError:
    return _StepError(f"argument '{name}': {reason}")


def _outputs(answer: object) -> Mapping[str, Any]:
    """The outputs that an answer of `run()` comes to; raises where it is none."""
    if answer is None or answer is True:
        return {}
    if not isinstance(answer, Mapping) and (not is_dataclass(answer) or isinstance(answer, type)):
        message = f"run() answered a {type(answer).__name__}, not True, False, None or a mapping of outputs"
        raise _StepError(message)
    return _within_limit(answer)


def _within_limit(outputs: object) -> Mapping[str, Any]:
    import json  # noqa: PLC0415 - most steps have no outputs to measure

    data: Mapping[str, Any] = jsonable(outputs)
    size = len(json.dumps(data))
    if size > OUTPUTS_LIMIT:
        message = f"its outputs are {size} characters of JSON, over {OUTPUTS_LIMIT}: write a file and hand on its path"
        raise _StepError(message)
    return data


class _Log:
    """Turns what a task logs into messages, and remembers what it last called an error."""

    def __init__(self, sender: Sender, mask: Callable[[str], str]) -> None:
        self._sender = sender
        self._mask = mask
        self.last_error = ""

    def logger(self) -> Logger:
        """A structlog logger that logs to here."""
        from tasker.structured import structlog  # noqa: PLC0415 - loaded already, before this process was forked

        def deliver(_logger: object, method: str, facts: MutableMapping[str, Any]) -> NoReturn:
            self._deliver(method, dict(facts))
            raise structlog.DropEvent

        wrapper = structlog.make_filtering_bound_logger(0)
        logger: Logger = structlog.wrap_logger(None, processors=[deliver], wrapper_class=wrapper)
        return logger

    def _deliver(self, method: str, facts: dict[str, Any]) -> None:
        exc_info = facts.pop("exc_info", None)
        facts = jsonable(facts)
        words = facts.pop("event", "")
        if method == "error":
            told = ", ".join(f"{key}={value}" for key, value in facts.items())
            self.last_error = _clipped(f"{words}{told and f' ({told})'}", self._mask)
        if exc_info:
            error = exc_info if isinstance(exc_info, BaseException) else sys.exception()
            facts["traceback"] = _traceback(error, self._mask)
        self._send({"level": method, "event": words, "facts": facts})

    def _send(self, log: dict[str, Any]) -> None:
        try:
            self._sender.send({"log": log})
        except TooLargeError as error:
            told = {"error": f"what was logged here is {error} bytes, over {LARGEST_MESSAGE}: write it to a file"}
            self._sender.send({"log": log | {"event": _clipped(text(log["event"]), self._mask), "facts": told}})


def _stop(_signum: int, _frame: FrameType | None) -> None:
    # Not ignored from now on: programs that `finally` blocks start would inherit that.
    signal.signal(signal.SIGTERM, lambda _signum, _frame: None)
    raise StepStoppedError


def _summary(error: BaseException, mask: Callable[[str], str]) -> str:
    told = text(error).strip()
    return _clipped(f"{type(error).__name__}: {told}" if told else type(error).__name__, mask)


def _traceback(error: BaseException | None, mask: Callable[[str], str]) -> str:
    """The traceback as Python shows it, from `run()` on; empty where there is none, or no memory to write it."""
    import traceback  # noqa: PLC0415 - only failures pay for it

    if error is None:
        return ""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    try:
        return _clipped("".join(traceback.format_exception(type(error), error, frames)), mask)
    except Exception:  # noqa: BLE001 - the failure itself is still to be told
        return ""


def _clipped(words: str, mask: Callable[[str], str]) -> str:
    if len(words) <= _LONGEST_TEXT:
        return words
    words, half = mask(words), _LONGEST_TEXT // 2
    return f"{words[:half]}…{words[-half:]}" if len(words) > _LONGEST_TEXT else words
