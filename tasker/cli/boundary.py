"""The one place that catches what goes wrong, and turns it into words and an exit status."""

from __future__ import annotations

import errno
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
UNWRITABLE = 74
"""Exit status where what is to be told cannot be written, as on a full disk: `EX_IOERR` of sysexits.h."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
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
        _drop_output()
        return BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - the last boundary
        if isinstance(error, OSError) and error.errno in _FULL:
            _drop_output()
            print(f"tasker: this cannot be written: {error}", file=sys.stderr)  # noqa: T201
            return UNWRITABLE
        sys.excepthook(*sys.exc_info())
        print("tasker: this is a fault of tasker itself; please report it with the lines above", file=sys.stderr)  # noqa: T201
        return INTERNAL
    return status


def _drop_output() -> None:
    """Let what is still buffered go nowhere: there is no place for it, and Python would complain of it at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
