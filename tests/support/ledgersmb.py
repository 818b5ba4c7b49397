"""LedgerSMB's schema in a PostgreSQL server of our own, for `make demo-database`: a real one, which no one here wrote.

Debian's package is taken apart and not installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from support import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PARTS = ROOT / "build" / "demo" / "database" / "ledgersmb"
SQL = PARTS / "usr" / "share" / "ledgersmb" / "sql"
APT_LIMIT_S = 25
"""Seconds after which a package counts as out of reach."""

RIGHTS = "create role scanner login; grant select on all tables in schema public to scanner"


def main() -> int:
    """Run the demo; answers tasker's exit status, or 1 where this machine cannot have the database."""
    lacking = missing()
    if lacking:
        sys.stderr.write(f"make demo-database: {lacking}\n")
        return 1
    with postgres.server() as server, tempfile.TemporaryDirectory() as secrets:
        load(server.url)
        Path(secrets, "LEDGERSMB_URL").write_text(server.url.replace("//tasker@", "//scanner@"))
        command = ["once", "--log-format", "console", "--secrets", secrets, "demo/database.conf"]
        return subprocess.run([sys.executable, "-m", "tasker", *command], cwd=ROOT, check=False).returncode


def missing() -> str:
    """Why the database cannot be had here; empty where it can. The package is downloaded the first time."""
    return postgres.missing() or _lacking_package()


def load(url: str) -> None:
    """Load the schema as LedgerSMB's own installer would; some of its mends are meant for older versions, and fail."""
    for file in (SQL / "Pg-database.sql", *_ordered("changes"), *_ordered("modules")):
        subprocess.run(["psql", "-qX", "-d", url, "-f", str(file)], check=True, capture_output=True)
    subprocess.run(["psql", "-qX", "-d", url, "-c", RIGHTS], check=True, capture_output=True)


def _ordered(folder: str) -> Iterator[Path]:
    for line in (SQL / folder / "LOADORDER").read_text().splitlines():
        name = line.strip().lstrip("!")
        if name and not name.startswith("#"):
            yield SQL / folder / name


def _lacking_package() -> str:
    """Why there is no LedgerSMB here; empty where there is."""
    if SQL.is_dir():
        return ""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return "it takes LedgerSMB from Debian's packages, and there is no apt-get here"
    PARTS.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PARTS.parent) as folder:
        package = _download(Path(folder))
        if package is None:
            return "apt-get cannot download the package `ledgersmb`"
        parts = Path(folder, "parts")
        subprocess.run(["dpkg-deb", "-x", str(package), str(parts)], check=True)
        with suppress(OSError):  # another test process was quicker
            parts.rename(PARTS)
    return ""


def _download(folder: Path) -> Path | None:
    for command in (["download", "ledgersmb"], ["update"], ["download", "ledgersmb"]):
        with suppress(subprocess.TimeoutExpired):
            words = ["apt-get", "--quiet=2", "--option=Acquire::Retries=0", *command]
            subprocess.run(words, cwd=folder, check=False, capture_output=True, timeout=APT_LIMIT_S)
        found = next(folder.glob("ledgersmb_*.deb"), None)
        if found is not None:
            return found
    return None


if __name__ == "__main__":
    sys.exit(main())
