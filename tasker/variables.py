"""The variables that every file may read beside its own keys, as they are for one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    Peek = Callable[[str], "str | None"]

PER_RUN = ("RUN_ID", "RUN_TIME", "WORKSPACE")
"""Variables whose values no two runs share."""
OF_A_RUN = frozenset((*PER_RUN, "TODAY"))
"""Variables that tell of a run, and not of what runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """Looks variables up: those set for this run first, then tasker's own, then the environment."""

    run_id: str
    slot: datetime
    workspace: Path
    conf_dir: Path
    cwd: Path
    platform: str
    stem: str
    """The name of the conf file without its ending: the pipeline's name where the file gives none."""
    given: Mapping[str, str]
    """Set for this run, such as by `--env`."""
    environment: Mapping[str, str]
    of_instance: str = ""
    """What stands behind that name where the file makes several pipelines."""

    @property
    def of_a_run(self) -> frozenset[str]:
        """The variables that tell of this run, and not of what runs: unless someone has set them."""
        return OF_A_RUN - self.given.keys()

    def __call__(self, name: str, peek: Peek) -> str | None:
        """The value of a variable, or `None`; `peek` looks at other values of the same document."""
        if name in self.given:
            return self.given[name]
        own = self._own(name, peek)
        return own if own is not None else self.environment.get(name)

    def _own(self, name: str, peek: Peek) -> str | None:
        own: dict[str, Callable[[], str]] = {
            "CWD": lambda: str(self.cwd),
            "PLATFORM": lambda: self.platform,
            "TODAY": lambda: self._local(peek).date().isoformat(),
            "RUN_ID": lambda: self.run_id,
            "RUN_TIME": lambda: self._local(peek).isoformat(timespec="seconds"),
            "PIPELINE": lambda: (peek("name") or self.stem) + self.of_instance,
            "WORKSPACE": lambda: str(self.workspace),
            "CONF_DIR": lambda: str(self.conf_dir),
        }
        return own[name]() if name in own else None

    def _local(self, peek: Peek) -> datetime:
        """The slot in the schedule's time zone; as it is where that is not to be had, which validation tells."""
        name = peek("schedule.timezone")
        if not name:
            return self.slot
        from zoneinfo import ZoneInfo  # noqa: PLC0415 - only files with a time zone pay for it

        try:
            return self.slot.astimezone(ZoneInfo(name))
        except (KeyError, ValueError, OSError):
            return self.slot
