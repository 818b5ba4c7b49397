"""Documents read in processes of their own, each within bounds, by a program that has all of it imported already.

A line on its standard input is a document's text and the files that it may include; the answer is its first fault.
"""

from __future__ import annotations

import json
import os
import resource
import sys

from support.documents import places

SECONDS = 5
"""Of the processor's time: what else goes on is no fault of the text."""
MEMORY = 500 << 20


def _read(line: str) -> str:
    text, files = json.loads(line)
    return (*places(text.encode("utf-8", "surrogateescape"), files), "well")[0]


def main() -> None:
    """Answer, a process for each line."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            print(_read(line), flush=True)  # noqa: T201
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            print(f"it ended with {status}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
