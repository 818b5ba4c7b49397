"""Task folders and installed packages into a registry; what does not import becomes a fault, and stops nothing else."""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tasker.errors import DuplicateTaskError
from tasker.faults import Fault, Place, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tasker.registry import TaskRegistry
    from tasker.task import Task

ENTRY_POINT_GROUP = "tasker.tasks"
"""Under which installed packages name the modules that hold their tasks."""

_NAMES = re.compile(r"""^\s*(?:class\s+(?P<of_class>\w+)\s*[(:]|task_name\b[^=]*=\s*["'](?P<set>[^"']+)["'])""", re.MULTILINE)


@dataclass(slots=True)
class Discovery:
    """What was found: faults for what could not be taken in, and the names of the tasks that these cost."""

    faults: list[Fault] = field(default_factory=list)
    broken: dict[str, Fault] = field(default_factory=dict)
    """Names of tasks that a module which does not import would have brought, with the reason."""

    def lose(self, names: Iterable[str], fault: Fault) -> None:
        """Note that a module could not be taken in."""
        self.faults.append(fault)
        for name in names:
            self.broken.setdefault(name, fault)


class Catalogue:
    """The tasks that a file may name: those of the registry, and, where it lacks one, those of installed packages."""

    def __init__(self, registry: TaskRegistry, discovery: Discovery) -> None:
        self.registry = registry
        self.discovery = discovery
        self._installed_loaded = False

    def find(self, name: str) -> type[Task] | None:
        """The task of this name, if there is one."""
        if not self.registry.has(name):
            self.load_installed()
        return self.registry.get(name) if self.registry.has(name) else None

    def broken(self, name: str) -> Fault | None:
        """Why the task of this name cannot be used, if a module that would bring it could not be taken in."""
        return self.discovery.broken.get(name)

    def names(self) -> list[str]:
        """The names of all tasks, sorted."""
        self.load_installed()
        return self.registry.registered()

    def load_installed(self) -> None:
        """Take in what installed packages offer, once: it means reading the metadata of every one of them."""
        if self._installed_loaded:
            return
        self._installed_loaded = True
        found = discover_installed(self.registry)
        self.discovery.faults += found.faults
        self.discovery.broken |= found.broken


def shipped_tasks() -> Path:
    """The folder of the tasks that come with tasker: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "tasks"
    return installed if installed.is_dir() else package.parent / "tasks"


def discover(folders: Iterable[Path], registry: TaskRegistry) -> Discovery:
    """Import every module of the folders, a folder once, so that its tasks enter `registry`.

    A file whose name begins with `_` is no module of tasks, but its neighbours may import it relatively.
    """
    discovery = Discovery()
    seen: set[Path] = set()
    for folder in folders:
        if (real := folder.resolve()) in seen:
            continue
        seen.add(real)
        if not folder.is_dir():
            place = Place(str(folder))
            discovery.faults.append(Fault("broken-task", place, "there is no such task folder", "see --tasks"))
            continue
        for file in sorted(real.glob("[!_.]*.py")):
            _take_in(file, folder / file.name, registry, discovery)
    return discovery


def discover_installed(registry: TaskRegistry) -> Discovery:
    """Load what installed packages offer under the entry point group `tasker.tasks`."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - reads every installed package's metadata

    discovery = Discovery()
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            entry_point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - another's module may raise anything
            place = Place(f"entry point {entry_point.name} = {entry_point.value}")
            discovery.lose([entry_point.name], Fault("broken-task", place, _reason(error), severity=Severity.WARNING))
    return discovery


def _take_in(file: Path, shown: Path, registry: TaskRegistry, discovery: Discovery) -> None:
    name = f"{_package(file.parent)}.{file.stem}"
    try:
        _import(name, file)
    except DuplicateTaskError as error:
        discovery.lose([error.name], Fault("duplicate-task", _place(error, file, shown), str(error)))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - an author's module may raise anything
        sys.modules.pop(name, None)
        fault = Fault("broken-task", _place(error, file, shown), _reason(error), severity=Severity.WARNING)
        discovery.lose(_names_promised(file), fault)


def _package(folder: Path) -> str:
    """The name of the package that stands for a task folder, made on first use, so that its modules find each other."""
    name = f"tasker_tasks_{sha256(str(folder).encode()).hexdigest()[:8]}"
    if name not in sys.modules:
        package = ModuleType(name, f"The tasks of {folder}.")
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    return name


def _import(name: str, file: Path) -> None:
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - a .py file always has a loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def _place(error: BaseException, file: Path, shown: Path) -> Place:
    """The line of the task's file at which importing it went wrong."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return Place(str(shown), error.lineno or 1, error.offset or 1, 1, (error.text or "").rstrip("\n"))
    import linecache  # noqa: PLC0415
    import traceback  # noqa: PLC0415 - only what does not import pays for it

    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    if not frames:
        return Place(str(shown))
    frame = frames[-1]
    line = linecache.getline(str(file), frame.lineno or 1).rstrip()
    return Place(str(shown), frame.lineno or 1, (frame.colno or 0) + 1, 1, line)


def _names_promised(file: Path) -> set[str]:
    """The names of tasks that a file which does not import seems to define."""
    text = file.read_text(errors="replace")
    found = {match["set"] or match["of_class"].lower() for match in _NAMES.finditer(text)}
    return found | {file.stem}


def _reason(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"its module calls sys.exit({error.code!r}) when it is imported"
    if isinstance(error, SyntaxError):
        return f"its module is not Python: {error.msg}"
    return f"its module does not import: {type(error).__name__}: {error}"
