"""Canaries: secrets that stand out, planted in every way in and searched for in every way out."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from support.command import write

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = {
    "plain": "canary-of-a-file-7f3a9c",
    "param": "canary-of-a-param-81d0b2",
    "hook": "canary-of-a-hook-c44e17",
    "quoted": """canary "in" it's \\quotes/ &c""",
    "unicode": "canärie-ключ-鍵-🐤",
    "short": "q~Z7",
    "number": "481516234287",
    "lines": "-----BEGIN CANARY-----\n"
    + "\n".join(f"{line:02}canary/of+many/lines{'x7Qa' * 10}" for line in range(8))
    + "\n-----END CANARY-----",
}
"""Secrets in the folder, by name."""
VARIABLES = {
    "CANARY_READ": "canary-of-a-variable-55ab01",
    "CANARY_UNREAD": "canary-that-nobody-reads-0aa3",
    "CANARY_PLAINLY": "canary-read-as-a-variable-9e2f",
}
"""Secrets in the environment, by name."""
PASSWORD = "canary-of-the-history-3bd8"

TASKS = '''
    import base64, json, os, subprocess, sys, time, urllib.parse
    from pathlib import Path
    from tasker import Task

    class Leaks(Task):
        """Say what it was given in every way there is."""

        def run(self, secrets: dict[str, str], fails: bool = False):
            environment = "".join(f"{key}={value} " for key, value in os.environ.items())
            print("the environment:", environment)
            for name, secret in secrets.items():
                self.say(name, secret)
                data = secret.encode()
                for form in (repr(secret), ascii(secret), repr(data), json.dumps(secret), urllib.parse.quote(secret)):
                    self.say(name, form)
                for before in (b"", b"u", b"u:", b"me:"):
                    self.say(name, base64.b64encode(before + data + b"!").decode())
                    self.say(name, base64.urlsafe_b64encode(before + data + b"!").decode().rstrip("="))
                self.say(name, base64.encodebytes(b"user:" + data).decode())
                shown = 'printf "%s\\\\n" "$1"; printf "me:%s" "$1" | base64'
                subprocess.run(["sh", "-c", shown, "sh", secret], check=True)
            if fails:
                try:
                    json.loads(list(secrets.values())[0])
                except ValueError as error:
                    self.logger.exception("it is no JSON", given=secrets)
                    raise RuntimeError(secrets, *secrets.values()) from error
            return {"whole": secrets, **{f"of-{name}": f"({secret})" for name, secret in secrets.items()}}

        def say(self, name, text):
            print(name, text)
            print(name, text, file=sys.stderr)
            self.logger.warning(text, **{"of": {name: [text, {text: 1}]}})

    class Raises(Task):
        """Fail with all that it was given."""

        def run(self, secret: str, number: int):
            self.logger.error(secret, number=number)
            raise ValueError(f"{secret} and {number}")

    class Answers(Task):
        """Fail without an exception."""

        def run(self, secret: str):
            self.logger.error("refused: " + secret, secret=secret)
            return False

    class Waits(Task):
        """Keep a secret for as long as there is no file."""

        def run(self, secret: str, begun: Path, until: Path):
            begun.touch()
            while not until.exists():
                time.sleep(0.02)
'''

_ALL = ", ".join(f"{name} = ${{secret.{name}}}" for name in FILES)

PIPELINE = f"""
    params {{ token = ${{secret.param}} }}
    tasks = [
      {{ name = waits, args {{ secret = ${{secret.CANARY_READ}}, begun = "begun.PIPE", until = "until.PIPE" }} }}
      {{ id = leaks, name = leaks, args {{ secrets {{
          {_ALL}, token = ${{params.token}}, read = ${{secret.CANARY_READ}}, plainly = ${{CANARY_PLAINLY}} }} }} }}
      {{ id = again, name = leaks, args {{ secrets {{
          handed = ${{outputs.leaks.of-quoted}}, more = "x"${{outputs.leaks.whole.unicode}} }} }} }}
      {{ id = shell, name = shell_script, on_failure = continue, args {{
          command = "env; echo $GIVEN; echo -n me:$GIVEN | base64; ls no-such-file-$GIVEN", shell = true
          environment {{ GIVEN = ${{secret.plain}} }} }} }}
      {{ id = answers, name = answers, on_failure = continue, needs = [], args {{ secret = ${{secret.unicode}} }} }}
      {{ id = raises, name = raises, on_failure = continue, needs = [], retries = 2
         args {{ secret = ${{secret.quoted}}, number = ${{secret.number}} }} }}
      {{ id = fails, name = leaks, needs = [leaks], args {{ fails = true, secrets {{ {_ALL} }} }} }}
    ]
    on_failure = [
      {{ id = told, name = leaks, args {{ secrets {{ hook = ${{secret.hook}}, error = ${{run.error}} }} }} }}
    ]
    finally = [ {{ id = last, name = raises, args {{ secret = ${{secret.hook}}, number = ${{secret.number}} }} }} ]
"""

FAULTY = """
    name = ${secret.plain}
    description = ${CANARY_PLAINLY}
    timeout = ${secret.short}
    schedule { cron = ${secret.quoted}, timezone = ${secret.unicode} }
    tasks = [
      { id = ${secret.plain}, name = ${secret.unicode} }
      { id = a, name = raises, args { secret = [${secret.plain}], number = ${secret.quoted}, more = ${secret.param} } }
      { id = b, name = waits, needs = [${secret.hook}], args { secret = ${secret.no}, begun = {a = ${secret.lines}} } }
      { id = c, name = leaks, when = ${secret.param}, args { secrets = ${CANARY_PLAINLY} } }
    ]
"""

INSTANCES = """
    for_each {
      crm { token = ${secret.plain}, more { word = "x"${secret.unicode}, plainly = ${CANARY_PLAINLY} } }
      erp = ${for_each.crm} { token = ${secret.quoted} }
    }
    tasks = [
      { id = item, name = leaks, args { secrets = ${item.more} { token = ${item.token} } } }
      { id = again, name = raises, retries = 2, args {
          secret = ${outputs.item.of-token}, number = ${secret.number} } }
    ]
"""
"""Two applications, which have secrets of their own."""
FAULTY_ITEMS = (
    "for_each = [${secret.plain}, ${secret.plain}, ${secret.short}]\ntasks = []",
    "for_each = ${secret.plain}\ntasks = [{ name = raises }]",
    "for_each { crm = ${secret.plain}, erp { a = ${secret.hook} } }\ntasks = [{ name = raises }]",
    """for_each { crm { token = ${secret.plain} } }
    tasks = [{ name = ${item.token}, args { secret = ${item.tokn}, number = ${item.token} } }]""",
)


def plant(folder: Path) -> dict[str, str]:
    """Write tasks and secrets; the environment in which commands are to find them."""
    write(folder / "tasks" / "leaks.py", TASKS)
    for name, secret in FILES.items():
        (folder / "secrets").mkdir(exist_ok=True)
        (folder / "secrets" / name).write_text(f"{secret}\n", encoding="utf-8")
    for name in ("tmp", "cache"):
        (folder / name).mkdir(exist_ok=True)
    return {
        **VARIABLES,
        "TASKER_SECRETS": str(folder / "secrets"),
        "TASKER_SECRET_ENV": " ".join(VARIABLES),
        "TASKER_WORKSPACES": str(folder / "workspaces"),
        "TMPDIR": str(folder / "tmp"),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }


def pipeline(name: str, more: str = "") -> str:
    """The text of a pipeline into which everything is planted, and whose steps tell all of it."""
    return more + PIPELINE.replace("PIPE", name)


@dataclass(frozen=True, slots=True)
class Found:
    """A canary that got out."""

    canary: str
    form: str
    where: str
    around: bytes


def escaped(where: str, data: bytes | str) -> list[Found]:
    """The canaries that are to be seen in something, in whatever form."""
    seen = data.encode(errors="surrogateescape") if isinstance(data, str) else data
    return [
        Found(name, form, where, seen[max(0, at - 100) : at + 100])
        for name, secret in {**FILES, **VARIABLES, "password": PASSWORD}.items()
        for form in _forms(secret)
        if (at := seen.find(form.encode())) >= 0
    ]


def escaped_to_disk(folder: Path) -> list[Found]:
    """The canaries in the files beneath a folder, but for those that are where they were planted."""
    planted = (folder / "secrets", folder / "tasks")
    # Not by `rglob`, which a folder that goes meanwhile ends.
    there = [Path(root, name) for root, _, names in os.walk(folder) for name in names]
    files = [path for path in there if path.is_file() and not any(map(path.is_relative_to, planted))]
    return [found for path in files for found in _in_file(path)]


def escaped_to_processes(session: set[int]) -> list[Found]:
    """The canaries in what everybody may see of processes."""
    return [found for pid in session for name in ("environ", "cmdline", "comm") for found in _in_process(pid, name)]


def _in_file(path: Path) -> list[Found]:
    try:
        return escaped(str(path), path.read_bytes())
    except FileNotFoundError:  # a journal, or a workspace, whose run has just ended
        return []


def _in_process(pid: int, name: str) -> list[Found]:
    try:
        return escaped(f"{name} of {pid}", Path(f"/proc/{pid}/{name}").read_bytes())
    except OSError:
        return []


@cache
def _forms(secret: str) -> set[str]:
    """What tells of a secret, worked out by other means than the program's."""
    lines = {secret, *(line for line in secret.splitlines() if len(line) > 3)}
    forms = set(lines)
    for line in lines:
        forms |= {json.dumps(line)[1:-1], json.dumps(line, ensure_ascii=False)[1:-1]}
        forms |= {quote(line), repr(line)[1:-1], repr(line.encode())[2:-1], json.dumps(json.dumps(line)[1:-1])[1:-1]}
        forms |= set(_in_base64(line.encode()))
    return forms


def _in_base64(data: bytes) -> Iterator[str]:
    """The characters that only this secret can have led to, whatever stands before and behind it."""
    for before in range(3):
        own = (before * 8 + 5) // 6
        beside = (b"\0", b"\xff", b"U", b"\xaa")
        texts = [b64encode(byte * before + data + byte * 3).decode()[own:] for byte in beside]
        same = "".join(each[0] for each in takewhile(lambda each: len(set(each)) == 1, zip(*texts, strict=True)))
        yield same
        yield same.replace("+", "-").replace("/", "_")
