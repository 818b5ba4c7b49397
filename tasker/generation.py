"""The daemon's side of a launcher: `Generation`.

Not to be confused with `launcher`, the program at the other end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tasker.messages import Candidate, Message, RunOrder
    from tasker.settings import Settings


class Generation:
    """One generation of the tasks' code: a launcher, which has it imported. No call here waits for anything.

    Wait for `fileno()` to be readable (it stays the same, and covers what there is to send as well), then take every
    message of `receive()`. The thread that makes it must live as long as it does: the launcher dies with that thread.
    """

    def __init__(self, number: int, settings: Settings) -> None:
        """Start the launcher. Raises `OSError` where no process can be had."""
        self.number = number
        self._settings = settings
        raise NotImplementedError

    def fileno(self) -> int:
        """The descriptor that is readable while there is something to do for `receive`."""
        raise NotImplementedError

    def receive(self) -> Iterator[Message]:
        """What has come, and a start on what is still to be sent; `Ready` is first, `Gone` is last."""
        raise NotImplementedError

    @property
    def busy(self) -> bool:
        """Whether runs or validations are still to end."""
        raise NotImplementedError

    def validate(self, number: int, candidates: Sequence[Candidate]) -> None:
        """Have files validated: a `Validated` for each as it is found, then `ValidationEnded`; one after the other."""
        raise NotImplementedError

    def run(self, order: RunOrder) -> None:
        """Start a run: `RunBegan`, `Told` …, and `RunEnded` or `Refused`."""
        raise NotImplementedError

    def stop(self, run_id: str, reason: str) -> None:
        """Stop a run in order; its error tells the reason. A run that has ended is left alone."""
        raise NotImplementedError

    def kill(self, run_id: str) -> None:
        """Stop a run that is stopping already, without waiting any longer."""
        raise NotImplementedError

    def retire(self) -> None:
        """End the launcher once its runs and validations have ended; nothing more is to be asked of it."""
        raise NotImplementedError

    def close(self) -> None:
        """Kill what there still is, and let go of the descriptors."""
        raise NotImplementedError
