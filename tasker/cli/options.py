"""Options that commands share, each with its environment variable, and what they come to."""

from __future__ import annotations

import os
import shlex
import sys
from argparse import ArgumentTypeError
from functools import partial
from math import inf, nan
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tasker.errors import UsageError
from tasker.facts import Level
from tasker.run import DEFAULT_GRACE_S

if TYPE_CHECKING:
    import argparse

    from tasker.discovery import Catalogue
    from tasker.foreground.place import Place
    from tasker.project import Project
    from tasker.settings import Settings

_LOOPBACK = "127.0.0.1"
DEFAULT_STATE = ".tasker"
"""The folder in which the daemon keeps what it has to know again."""
NO_HISTORY = "none"
"""What `--history` says where nothing is to be kept."""
SWITCH = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off", ""), False),
}
"""What an environment variable may say of an option that is either there or not, in small letters."""


def add(parser: argparse.ArgumentParser, flag: str, **rest: Any) -> None:
    """Add an option whose default is the environment variable `TASKER_…` of its name."""
    variable = "TASKER_" + flag.removeprefix("--").replace("-", "_").upper()
    if variable in os.environ:
        rest["default"] = os.environ[variable]
    if "choices" in rest:
        # argparse checks what comes from the environment by `type`, and by it alone.
        rest["type"] = partial(_one_of, tuple(rest["choices"]))
    parser.add_argument(flag, **{**rest, "help": f"{rest['help']} [{variable}]"})


def _one_of(choices: tuple[str, ...], value: str) -> str:
    if value not in choices:
        message = f"{value!r} is none of {', '.join(choices)}"
        raise ArgumentTypeError(message)
    return value


def add_flag(parser: argparse.ArgumentParser, flag: str, *, help: str) -> None:  # noqa: A002 - argparse's own word
    """Add an option that is either there or not."""
    variable = "TASKER_" + flag.removeprefix("--").replace("-", "_").upper()
    parser.add_argument(flag, action="store_true", default=_switched(variable), help=f"{help} [{variable}]")


def _switched(variable: str) -> bool:
    """Whether the variable says that the option is there; raises `UsageError` where it says neither."""
    said = os.environ.get(variable, "")
    if said.lower() not in SWITCH:
        message = (
            f"{variable} is {said!r}, which is neither yes nor no: write 1, true, yes or on, or 0, false, no or off"
        )
        raise UsageError(message)
    return SWITCH[said.lower()]


def add_tasks(parser: argparse.ArgumentParser) -> None:
    """Add `--tasks`."""
    folders = os.environ.get("TASKER_TASKS", "")
    parser.add_argument(
        "--tasks",
        metavar="DIR",
        action="append",
        default=[folder for folder in folders.split(os.pathsep) if folder],
        help="a further folder of tasks; again for more [TASKER_TASKS]",
    )


def add_file_options(parser: argparse.ArgumentParser) -> None:
    """Add what decides how conf files are read."""
    add(parser, "--conf-dir", metavar="DIR", help="the folder that includes may not leave (default: the file's own)")
    add_surroundings(parser)


def add_surroundings(parser: argparse.ArgumentParser) -> None:
    """Add what conf files are read with, wherever their texts are from."""
    add_tasks(parser)
    add(parser, "--secrets", metavar="DIR", help="the folder of files that ${secret.NAME} reads")
    add_secret_env(parser)
    add(parser, "--workspaces", metavar="DIR", help="the folder in which runs have their workspaces")
    _add_pairs(parser, "--env", "a variable, for files and steps")


def add_secret_env(parser: argparse.ArgumentParser) -> None:
    """Add `--secret-env`."""
    words = "a variable that is a secret: ${secret.NAME} reads it; again for more [TASKER_SECRET_ENV]"
    parser.add_argument(
        "--secret-env", metavar="NAME", action="append", default=_words_of("TASKER_SECRET_ENV"), help=words
    )


def add_params(parser: argparse.ArgumentParser) -> None:
    """Add `--set`."""
    _add_pairs(parser, "--set", "a parameter, such as days=7")


def _add_pairs(parser: argparse.ArgumentParser, flag: str, what: str) -> None:
    variable = f"TASKER_{flag[2:].upper()}"
    words = f"set {what}; again for more [{variable}]"
    parser.add_argument(flag, metavar="K=V", action="append", default=_words_of(variable), help=words)


def add_words(parser: argparse.ArgumentParser, flag: str, *, metavar: str, help: str) -> None:  # noqa: A002 - as above
    """Add an option that may be given again and again, and whose variable holds several words."""
    variable = f"TASKER_{flag[2:].upper().replace('-', '_')}"
    default = _words_of(variable)
    parser.add_argument(flag, metavar=metavar, action="append", default=default, help=f"{help} [{variable}]")


def _words_of(variable: str) -> list[str]:
    """The words of an environment variable, quoted as in a shell; raises `UsageError`."""
    try:
        return shlex.split(os.environ.get(variable, ""))
    except ValueError as error:
        message = f"{variable}: {str(error).lower()}; write words as in a shell, such as days=7 'owner=the team'"
        raise UsageError(message) from None


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add what decides how a run is carried out and told."""
    add_flag(parser, "--keep-workspace", help="leave the run's workspace where it is")
    add(
        parser,
        "--grace",
        metavar="SECONDS",
        type=seconds,
        default=DEFAULT_GRACE_S,
        help="how long a step that is told to end may take",
    )
    add(
        parser,
        "--log-format",
        choices=("auto", "json", "console"),
        default="auto",
        help="JSON lines, or a live view for people; auto: by whether the output is a terminal",
    )
    add(parser, "--log-level", choices=[str(level) for level in Level], default="info", help="the least level to log")


def add_http(parser: argparse.ArgumentParser) -> None:
    """Add `--http`, which comes to a host and a port, or to `None`."""
    words = "where to answer /healthz, /readyz and /metrics; :9090 is 127.0.0.1:9090 (default: nowhere)"
    add(parser, "--http", metavar="HOST:PORT", type=address, help=words)


def address(text: str) -> tuple[str, int] | None:
    """A host and a port; an empty environment variable is none."""
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not (port.isascii() and port.isdecimal()) or (":" in host and not bracketed):
        message = f"{text!r} is no address, such as :9090, 0.0.0.0:9090 or [::]:9090"
        raise ArgumentTypeError(message)
    return host.strip("[]") or _LOOPBACK, int(port)


def add_history(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add what says where the history is, or with `optional` that there is to be none."""
    add(
        parser,
        "--state",
        metavar="DIR",
        default=DEFAULT_STATE,
        help=f"the folder of the history; default: {DEFAULT_STATE}",
    )
    words = "a PostgreSQL server that keeps it: postgresql://USER@HOST/DATABASE"
    add(parser, "--history", metavar="URL", help=f"{words}; {NO_HISTORY}: keep nothing" if optional else words)


def history(arguments: argparse.Namespace) -> str | Path:
    """Where the history is: a URL, or the state folder; raises `UsageError`."""
    if not arguments.history:
        return Path(arguments.state)
    from tasker.history.urls import is_url  # noqa: PLC0415

    if not is_url(arguments.history):
        # What was given is not shown: it may hold a password, wherever that stands in what is no URL.
        message = "--history: a URL is expected, postgresql://USER@HOST/DATABASE; --state names a folder"
        raise UsageError(message)
    return str(arguments.history)


def place(arguments: argparse.Namespace) -> Place | None:
    """Where a command in the foreground keeps its runs; `None` where it is to keep nothing."""
    if arguments.history == NO_HISTORY:
        return None
    from tasker.foreground.place import Place  # noqa: PLC0415 - as above

    return Place.of(history(arguments), Path(arguments.state))


def count(text: str) -> int:
    """The number of things that an option asks for."""
    if not text.isdecimal() or not int(text):
        message = f"{text!r} is no count, such as 10"
        raise ArgumentTypeError(message)
    return int(text)


def seconds(text: str) -> float:
    """A number of seconds; raises `ArgumentTypeError`."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = nan
    if not 0 <= seconds < inf:
        message = f"{text!r} is no number of seconds, such as 10 or 0.5"
        raise ArgumentTypeError(message)
    return seconds


def pairs(given: list[str], flag: str) -> dict[str, str]:
    """The `K=V` of an option; raises `UsageError` where one has no `=`."""
    found = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            message = f"{flag} {pair}: expected NAME=VALUE"
            raise UsageError(message)
        found[name] = value
    return found


def settings(arguments: argparse.Namespace) -> Settings:
    """The settings that the options come to."""
    from tasker.settings import Settings  # noqa: PLC0415

    chosen: dict[str, Any] = {"tasks": tuple(map(Path, arguments.tasks))}
    for option, field in (("secrets", "secrets"), ("workspaces", "workspaces"), ("conf_dir", "conf_dir")):
        if getattr(arguments, option, None) is not None:
            chosen[field] = Path(getattr(arguments, option))
    if hasattr(arguments, "keep_workspace"):
        chosen |= {"keep_workspace": arguments.keep_workspace, "grace_s": arguments.grace}
    if hasattr(arguments, "env"):
        chosen["given"] = MappingProxyType(pairs(arguments.env, "--env"))
        chosen["secret_env"] = tuple(dict.fromkeys(arguments.secret_env))
    _forget_history()
    made = Settings(**chosen)
    _forget_secrets(made)
    return made


def _forget_history() -> None:
    """Let no file or step find where the history is, as a password may stand there; the options have it by now."""
    from tasker import linux  # noqa: PLC0415 - only with settings

    linux.forget("TASKER_HISTORY")


def _forget_secrets(settings: Settings) -> None:
    """Keep secrets from the processes that this one starts. Raises `UsageError` where one stands on a command line."""
    from tasker import linux  # noqa: PLC0415 - only with settings

    for name in settings.secret_env:
        if name in settings.given:
            message = f"--env {name}: --secret-env calls it a secret, and command lines can be read; export it instead"
            raise UsageError(message)
        if name not in settings.secret_variables and not (settings.secrets / name).is_file():
            words = f"no such variable is set, and there is no file {settings.secrets / name}"
            print(f"tasker: --secret-env {name}: {words}", file=sys.stderr)  # noqa: T201 - a command line speaks
        linux.forget(name)


def project(arguments: argparse.Namespace) -> Project:
    """The project that the options describe."""
    from tasker.project import Project  # noqa: PLC0415 - `tasker --help` needs none of it

    return Project(settings(arguments))


def catalogue(arguments: argparse.Namespace) -> Catalogue:
    """The tasks that there are, under the options given."""
    return project(arguments).catalogue
