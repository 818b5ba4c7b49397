"""Task folders and installed packages into a registry; what does not import becomes a fault, and stops nothing else."""

from __future__ import annotations

import importlib.util
import re
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING

from tasker.errors import DuplicateTaskError
from tasker.faults import Fault, Place, Severity
from tasker.registry import task_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from importlib.metadata import EntryPoint

    from tasker.registry import TaskRegistry
    from tasker.task import Task

ENTRY_POINT_GROUP = "tasker.tasks"
"""Under which installed packages name the modules that hold their tasks."""

_NAMES = re.compile(
    r"""^\s*(?:class\s+(?P<of_class>\w+)\s*[(:]|task_name\b[^=]*=\s*["'](?P<set>[^"']+)["'])""", re.MULTILINE
)

_PACKAGES = "tasker_tasks_"
"""How the names of the packages begin that stand for task folders."""
_SHOWN = 200
"""Characters of an author's error, or of a line of code, that a fault repeats."""


@dataclass(slots=True)
class Discovery:
    """What was found: faults for what could not be taken in, and the names of the tasks that these cost."""

    faults: list[Fault] = field(default_factory=list)
    lost: dict[str, Fault] = field(default_factory=dict)
    """Names of tasks that cannot be used, whoever else may have them, with the reason."""
    promised: dict[str, Fault] = field(default_factory=dict)
    """Names that a module which does not import seems to define: lost where no other module has them."""

    def lose(self, fault: Fault, names: Iterable[str], promised: Iterable[str] = ()) -> None:
        """Note that a module could not be taken in, and what this costs."""
        self.faults.append(fault)
        self.lost = dict.fromkeys(names, fault) | self.lost
        self.promised = dict.fromkeys(promised, fault) | self.promised


@dataclass(frozen=True, slots=True)
class _Module:
    """A file of tasks that has not been imported."""

    file: Path
    shown: Path
    promised: frozenset[str]
    """The names of the tasks that it seems to define."""


class Catalogue:
    """The tasks that a file may name: those of the registry, of task folders, and of installed packages.

    A module is imported when something asks for a task that it seems to define, and all are where none does: a run
    pays for the tasks that it has.
    """

    def __init__(
        self,
        registry: TaskRegistry,
        folders: Iterable[Path] = (),
        *,
        refused: Mapping[str, str] = MappingProxyType({}),
        importing: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Look for tasks in `folders`; `importing` is called with the name of each module before it is imported.

        Those named in `refused` are not imported, for the reason that stands there.
        """
        self.registry = registry
        self.discovery = Discovery()
        self._refused = refused
        self._importing = importing
        self._waiting = list(_modules(folders, self.discovery))
        self._installed_loaded = False

    def find(self, name: str) -> type[Task] | None:
        """The task of this name, if there is one."""
        self._take_in([module for module in self._waiting if name in module.promised])
        if not self.registry.has(name):
            self.load_all()
        return self.registry.get(name) if self.registry.has(name) else None

    def broken(self, name: str) -> Fault | None:
        """Why the task of this name cannot be used, if a module that brings it could not be taken in."""
        there = self.find(name) is not None
        return self.discovery.lost.get(name) or (None if there else self.discovery.promised.get(name))

    def names(self) -> list[str]:
        """The names of all tasks, sorted."""
        self.load_all()
        return self.registry.registered()

    def load_folders(self) -> None:
        """Import every module of the task folders, so that what is wrong with any is known."""
        self._take_in(self._waiting)

    def load_all(self) -> None:
        """Take in what installed packages offer, too, once: it means reading the metadata of every one of them."""
        self.load_folders()
        if not self._installed_loaded:
            self._installed_loaded = True
            self._take_in_installed()

    def _take_in(self, modules: list[_Module]) -> None:
        self._waiting = [module for module in self._waiting if module not in modules]
        for module in modules:
            if self._may_import(str(module.file), Place(str(module.shown)), module.promised):
                _take_in(module, self.registry, self.discovery)

    def _take_in_installed(self) -> None:
        """Load what installed packages offer under the entry point group `tasker.tasks`."""
        from importlib.metadata import entry_points  # noqa: PLC0415 - reads every installed package's metadata

        for entry_point in entry_points(group=ENTRY_POINT_GROUP):
            shown = f"entry point {entry_point.name} = {entry_point.value}"
            if self._may_import(shown, Place(shown), [entry_point.name]):
                _load(entry_point, Place(shown), self.registry, self.discovery)

    def _may_import(self, module: str, place: Place, promised: Iterable[str]) -> bool:
        """Whether a module is to be imported, which is told before it is."""
        if module in self._refused:
            fault = Fault("broken-task", place, self._refused[module], severity=Severity.WARNING)
            self.discovery.lose(fault, (), promised)
            return False
        self._importing(module)
        return True


def shipped_tasks() -> Path:
    """The folder of the tasks that come with tasker: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "tasks"
    return installed if installed.is_dir() else package.parent / "tasks"


def discover(folders: Iterable[Path], registry: TaskRegistry) -> Discovery:
    """Import every module of the folders, a folder once, so that its tasks enter `registry`."""
    catalogue = Catalogue(registry, folders)
    catalogue.load_folders()
    return catalogue.discovery


def is_of_folder(module: str) -> bool:
    """Whether a module, by its name, is one of a task folder."""
    return module.startswith(_PACKAGES)


def _modules(folders: Iterable[Path], discovery: Discovery) -> Iterator[_Module]:
    """The files of tasks in the folders. One whose name begins with `_` is none; its neighbours may import it.

    A copy of a file under the same name, as where a checkout of tasker is installed and worked in, is that file again.
    """
    seen: set[Path] = set()
    copies: dict[str, Path] = {}
    for folder in folders:
        if (real := folder.resolve()) in seen:
            continue
        seen.add(real)
        if not folder.is_dir():
            place = Place(str(folder))
            discovery.faults.append(Fault("broken-task", place, "there is no such task folder", "see --tasks"))
            continue
        for file in sorted(real.glob("[!_.]*.py")):
            if not file.is_dir() and not _is_copy(file, copies.setdefault(file.name, file)):
                yield _Module(file, folder / file.name, frozenset(_names_promised(file)))


def _is_copy(file: Path, first: Path) -> bool:
    """Whether the file holds what another one that was found before it holds."""
    if file == first or not (file.is_file() and first.is_file()):
        return False
    try:
        return file.read_bytes() == first.read_bytes()
    except OSError:
        return False


def _load(entry_point: EntryPoint, place: Place, registry: TaskRegistry, discovery: Discovery) -> None:
    try:
        with redirect_stdout(sys.stderr):
            entry_point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - another's module may raise anything
        _lose(error, place, entry_point.module, [entry_point.name], registry, discovery)


def _take_in(module: _Module, registry: TaskRegistry, discovery: Discovery) -> None:
    """Import a file of tasks; what it prints meanwhile does not mix with what tasker answers."""
    name = f"{_package(module.file.parent)}.{module.file.stem}"
    try:
        with redirect_stdout(sys.stderr):
            _import(name, module.file)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - an author's module may raise anything
        sys.modules.pop(name, None)
        _lose(error, _place(error, module.file, module.shown), name, module.promised, registry, discovery)


def _lose(
    error: BaseException,
    place: Place,
    module: str,
    promised: Iterable[str],
    registry: TaskRegistry,
    discovery: Discovery,
) -> None:
    """Note that a module did not import; the tasks that it had registered before that cannot be used either."""
    entered = [task_name(task) for task in registry if task.__module__ == module]
    if isinstance(error, DuplicateTaskError):
        hint = "set `task_name` in one of them"
        message = f"two tasks are named '{error.name}': {error.first} and {error.second}"
        discovery.lose(Fault("duplicate-task", place, message, hint), [error.name, *entered], promised)
    else:
        fault = Fault("broken-task", place, _reason(error, place), severity=Severity.WARNING)
        discovery.lose(fault, entered, promised)


def _package(folder: Path) -> str:
    """The name of the package that stands for a task folder, made on first use, so that its modules find each other."""
    name = f"{_PACKAGES}{sha256(str(folder).encode(errors='surrogateescape')).hexdigest()[:8]}"
    if name not in sys.modules:
        package = ModuleType(name, f"The tasks of {folder}.")
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    return name


def _import(name: str, file: Path) -> None:
    if name in sys.modules:
        return
    if not file.is_file():
        # A pipe would keep the reader waiting; a link may lead nowhere.
        message = "it is not a file, nor a link to one"
        raise ImportError(message)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - a .py file always has a loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def _place(error: BaseException, file: Path, shown: Path) -> Place:
    """The line of the task's file at which importing it went wrong."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        excerpt = (error.text or "").rstrip("\n")[:_SHOWN]
        return Place(str(shown), error.lineno or 1, max(1, error.offset or 1), 1, excerpt)
    import linecache  # noqa: PLC0415
    import traceback  # noqa: PLC0415 - only what does not import pays for it

    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    if not frames:
        return Place(str(shown))
    frame = frames[-1]
    linecache.checkcache(str(file))
    line = linecache.getline(str(file), frame.lineno or 1).rstrip()[:_SHOWN]
    return Place(str(shown), frame.lineno or 1, (frame.colno or 0) + 1, 1, line)


def _names_promised(file: Path) -> set[str]:
    """The names of the tasks that a file seems to define, read without importing it."""
    try:
        text = file.read_text(errors="replace") if file.is_file() else ""
    except OSError:
        text = ""
    found = {match["set"] or match["of_class"].lower() for match in _NAMES.finditer(text)}
    return found | {file.stem}


def _reason(error: BaseException, place: Place) -> str:
    if isinstance(error, SystemExit):
        return f"its module calls sys.exit({error.code!r}) when it is imported"
    if isinstance(error, SyntaxError):
        where = "its module" if Path(error.filename or "").name == Path(place.file).name else error.filename
        return f"{where} is not Python: {error.msg}" + (f" (line {error.lineno})" if where != "its module" else "")
    from traceback import format_exception_only  # noqa: PLC0415 - only what does not import pays for it

    # An exception may fail to tell what it is, which `traceback` survives; it may also tell a long story.
    told = format_exception_only(error)[0].strip().partition("\n")[0]
    return f"its module does not import: {told[:_SHOWN]}"
