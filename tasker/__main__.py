"""`python -m tasker`, and the command `tasker`: the rim around `cli`, where the process ends."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NoReturn

from tasker.cli import main


def run() -> NoReturn:
    """Run a command and end the process at once: to take an interpreter apart takes longer than a short run."""
    status = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    run()
