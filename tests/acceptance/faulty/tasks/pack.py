from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TypedDict

from tasker import Task


class Pack(Task):
    def run(self, paths: list[Path], keep: timedelta = timedelta(days=1), after: date | None = None) -> bool:
        return True


@dataclass
class Address:
    host: str
    port: int = 22


class Ship(Task):
    def run(self, to: Address) -> bool:
        return True


class Measured(TypedDict):
    file: Path
    size: int
    parts: list[str]
    found: bool


class Measure(Task):
    def run(self, path: Path) -> Measured:
        return {"file": path, "size": 1, "parts": [], "found": True}


class Telegraph(Task):
    requires = {"telegraph_that_nobody_has": "telegraph"}

    def run(self):
        import telegraph_that_nobody_has
