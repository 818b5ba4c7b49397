"""The one place that catches what goes wrong, and turns it into words and an exit status."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from tasker.errors import TaskerError
from tasker.linux import hold_standard_streams

if TYPE_CHECKING:
    from collections.abc import Callable

USAGE = 2
"""Exit status of a wrong command line or an invalid file."""
INTERNAL = 70
"""Exit status of a fault of tasker's own: `EX_SOFTWARE` of sysexits.h."""
BROKEN_PIPE = 141
"""Exit status where nobody reads the output any more: 128 and SIGPIPE, as of any other program."""
INTERRUPTED = 130
"""Exit status of Ctrl-C while no run was under way: 128 and SIGINT."""


def caught(body: Callable[[], int]) -> int:
    """The exit status that `body` answers, or that what it raises comes to."""
    hold_standard_streams()
    try:
        status = body()
        sys.stdout.flush()
    except TaskerError as error:
        print(f"tasker: {error}", file=sys.stderr)  # noqa: T201 - a command line speaks by printing
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # What is still buffered has nowhere to go; without this, Python complains of it at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return BROKEN_PIPE
    except Exception:  # noqa: BLE001 - the last boundary
        sys.excepthook(*sys.exc_info())
        print("tasker: this is a fault of tasker itself; please report it with the lines above", file=sys.stderr)  # noqa: T201
        return INTERNAL
    return status
