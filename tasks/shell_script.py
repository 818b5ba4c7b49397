"""The task `shell_script`: one program, or one line for the shell, as a step."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasker import Task

OUTPUTS_VARIABLE = "TASKER_OUTPUTS"
"""The environment variable that names the file to which a program writes what it hands on."""

OUTPUTS_LIMIT = 1024 * 1024
"""Bytes that the file may have: what is larger belongs in a file of its own, and its path here."""

_OUTPUT = re.compile(r"(?P<key>[A-Za-z_][\w-]*)=(?P<value>.*)", re.ASCII)


class ShellScript(Task):
    """Run a program; no shell is involved unless the step asks for one."""

    task_name = "shell_script"

    def run(
        self,
        command: str,
        arguments: str | list[str] | None = None,
        working_directory: Path | None = None,
        environment: Mapping[str, str] | None = None,
        shell: bool = False,
        success_codes: Sequence[int] = (0,),
    ) -> bool | dict[str, str]:
        """Run `command` with `arguments`; its output goes to the log, line by line, as it is printed.

        It hands something on by writing lines `KEY=VALUE` to the file that $TASKER_OUTPUTS names.

        Args:
            command: The program, by name or path; where `shell` is true, a line for `/bin/sh -c`.
            arguments: A list, each item one argument as it stands; or a string, split into words as a shell would.
            working_directory: The folder that the program starts in.
            environment: Variables that are set for the program, beside those that it inherits.
            shell: Let the shell read `command`; it finds the arguments as $1, $2, and so on.
            success_codes: The exit statuses that count as success.
        """
        if working_directory is not None and not working_directory.is_dir():
            message = f"working_directory is not a folder: {working_directory}"
            raise NotADirectoryError(message)
        words = ["/bin/sh", "-c", command, "sh"] if shell else [command]
        outputs = self.context.workspace.absolute() / f".outputs-{os.getpid()}"
        try:
            status = _execute(
                [*words, *_split(arguments)],
                working_directory,
                {**os.environ, **(environment or {}), OUTPUTS_VARIABLE: str(outputs)},
            )
            if status not in success_codes:
                self.logger.error("the program failed", **_ending(status))
                return False
            return _outputs(outputs) if os.path.lexists(outputs) else True
        finally:
            _remove(outputs)


def _split(arguments: str | Sequence[str] | None) -> list[str]:
    if not isinstance(arguments, str):
        return list(arguments or ())
    import shlex

    try:
        return shlex.split(arguments)
    except ValueError as error:
        message = f"`arguments` cannot be split into words ({error}); write them as a list"
        raise ValueError(message) from None


def _execute(words: Sequence[str], folder: Path | None, environment: Mapping[str, str]) -> int:
    """The exit status, negative for the signal that ended the program."""
    try:
        program = subprocess.Popen(words, cwd=folder, env=environment)
    except FileNotFoundError:
        message = _not_found(words[0])
        raise FileNotFoundError(message) from None
    except OSError as error:
        message = f"the program {words[0]!r} cannot be started: {error.strerror}"
        raise OSError(message) from None
    try:
        return program.wait()
    except BaseException:
        program.wait()  # a step that is told to end has a grace period, and so has its program, which was told as well
        raise


def _not_found(command: str) -> str:
    if " " in command.strip():
        return f"no program is named {command!r}; put what follows the name into `arguments`, or set `shell = true`"
    if "/" in command:
        return f"there is no program at {command!r}, or the interpreter that its first line names is missing"
    return f"no program is named {command!r} in PATH"


def _ending(status: int) -> dict[str, object]:
    """How a program ended, as facts for the log."""
    if status >= 0:
        return {"exit_status": status}
    try:
        return {"signal": signal.Signals(-status).name}
    except ValueError:
        return {"signal": -status}


def _outputs(file: Path) -> dict[str, str]:
    """What the program wrote for later steps; blank lines are passed over."""
    found = file.lstat()
    if not stat.S_ISREG(found.st_mode):
        message = f"the program left something else than a file at ${OUTPUTS_VARIABLE}: write lines KEY=VALUE to it"
        raise ValueError(message)
    if found.st_size > OUTPUTS_LIMIT:
        message = f"the program wrote more than {OUTPUTS_LIMIT} bytes to ${OUTPUTS_VARIABLE}: hand on a path instead"
        raise ValueError(message)
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError:
        message = f"what the program wrote to ${OUTPUTS_VARIABLE} is not UTF-8"
        raise ValueError(message) from None
    return dict(_output(number, line) for number, line in enumerate(lines, start=1) if line.strip())


def _output(number: int, line: str) -> tuple[str, str]:
    match = _OUTPUT.fullmatch(line)
    if match is None:
        message = f"line {number} of ${OUTPUTS_VARIABLE} is not KEY=VALUE"
        raise ValueError(message)
    return match["key"], match["value"]


def _remove(left: Path) -> None:
    """Remove the outputs file, or what the program made in its place."""
    if left.is_dir() and not left.is_symlink():
        shutil.rmtree(left)
    else:
        left.unlink(missing_ok=True)
