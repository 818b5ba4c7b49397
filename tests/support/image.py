"""The container image, built from this very tree, and containers of it that may do as little as one can be let do."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from support.command import Command, Result
from support.daemons import Daemon

ROOT = Path(__file__).parents[2]
BASE = "docker.io/library/python:3.13-slim"
HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none")
"""All that can be taken from a container: it has a `/tmp` of its own, and its volumes."""

_FILES = (
    *(".dockerignore", "Dockerfile", "LICENSE", "README.md", "pyproject.toml"),
    *(f"requirements/{name}" for name in ("build.txt", "image.txt", "wanted.py")),
)
_FOLDERS = ("conf.d", "tasker", "tasks")
_NAME = "localhost/tasker-test"
_LABEL = "tasker.test"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_LIMIT_S = 240
"""Seconds after which a build, or a pull of the base, is given up."""
_LIFE_S = 120
"""Seconds after which a container is ended that a test has left."""


def podman(*words: str | Path, limit_s: float = _LIMIT_S) -> subprocess.CompletedProcess[str]:
    """Call podman; what it came to."""
    return subprocess.run(["podman", *words], capture_output=True, text=True, check=False, timeout=limit_s)


def missing() -> str:
    """Why there is no image to test here; empty where there can be one."""
    if shutil.which("podman") is None:
        return "podman is not installed: apt-get install podman"
    try:
        tried = podman("run", "--rm", "--network=none", BASE, "true", limit_s=60)
    except subprocess.TimeoutExpired:
        return f"podman takes too long to run a container of {BASE}"
    return "" if tried.returncode == 0 else f"podman cannot run a container of {BASE}: {_last_line(tried.stderr)}"


def built() -> str:
    """The name of the image of the files as they are now; they make part of it, so it is built once."""
    return _made(ROOT, _digest([podman("image", "inspect", "--format={{.Id}}", BASE).stdout, *_contents(ROOT)]))


def built_on(image: str, folder: Path) -> str:
    """The name of the image that the Dockerfile of a folder makes of another one, which it calls `tasker`."""
    return _made(folder, _digest([image, *_contents(folder)]), "--from", image)


def run(image: str, *words: str, options: Sequence[str] = (), life_s: int = _LIFE_S) -> Result:
    """Run `tasker WORDS…` in a hardened container to its end."""
    with tempfile.TemporaryDirectory() as folder:
        return Command(Path(folder), _command(image, _any_name(), options, life_s, words), {}).finish()


class ContainedDaemon(Daemon):
    """`tasker watch` in a container, of which `conf.d` and `tasks` of a folder are mounted, and an empty volume."""

    def __init__(self, folder: Path, image: str, *options: str, command: Sequence[str] = ("watch",)) -> None:
        """Start it, or another command that goes on for a while; the options are podman's."""
        self.name = _any_name()
        (folder / "tasks").mkdir(exist_ok=True)
        mounts = [f"--volume={folder / name}:/etc/tasker/{name}:ro" for name in ("conf.d", "tasks")]
        inner = (*mounts, "--volume=/var/lib/tasker", *options)
        super().__init__(folder, program=_command(image, self.name, inner, _LIFE_S, command))

    def __exit__(self, *about: object) -> None:
        podman("rm", "--force", "--time=0", "--volumes", self.name)
        super().__exit__(*about)

    def execute(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program in the container."""
        return podman("exec", self.name, *words)

    def inspect(self, what: str) -> str:
        """What podman says of the container."""
        return podman("inspect", f"--format={{{{{what}}}}}", self.name).stdout.strip()


def _command(image: str, name: str, options: Sequence[str], life_s: int, words: Sequence[str]) -> list[str]:
    whole = ("podman", "run", "--rm", f"--name={name}", f"--timeout={life_s}", *HARDENED, *options, image, *words)
    return list(whole)


def _any_name() -> str:
    return f"tasker-test-{uuid.uuid4().hex[:12]}"


def _contents(folder: Path) -> list[Any]:
    """All that makes a difference to the image."""
    files = [folder / name for name in _FILES] + [
        file for name in _FOLDERS for file in sorted((folder / name).rglob("*")) if "__pycache__" not in file.parts
    ]
    return [(str(file.relative_to(folder)), file.read_bytes()) for file in files if file.is_file()]


def _digest(parts: Sequence[Any]) -> str:
    return sha256(repr(parts).encode()).hexdigest()[:16]


def _made(folder: Path, digest: str, *options: str) -> str:
    """Build an image under the name that its digest gives it, unless it is there; several processes may ask."""
    name = f"{_NAME}:{digest}"
    with (Path(tempfile.gettempdir()) / f"tasker-image-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if podman("image", "exists", name).returncode == 0:
            return name
        # Where a proxy looks into what is fetched, its certificate is known to the machine alone.
        trusted = [f"--volume={_CERTIFICATES}:{_CERTIFICATES}:ro"] if _CERTIFICATES.exists() else []
        words = ("--format=docker", "--network=host", f"--label={_LABEL}=1", *trusted, *options, f"--tag={name}")
        done = podman("build", *words, folder)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        with suppress(subprocess.TimeoutExpired):
            old = (f"--filter=label={_LABEL}", "--filter=until=12h")
            podman("image", "prune", "--all", "--force", *old, limit_s=60)
    return name


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it does not say why"])[-1]
