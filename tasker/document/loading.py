"""A file's name to a `Document`: read, include, resolve."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tasker.document.files import Files, Folder
from tasker.document.limits import Limits
from tasker.document.reader import FaultError, read_override
from tasker.document.resolution import Resolver
from tasker.document.values import Object, Source
from tasker.errors import InvalidFileError
from tasker.faults import Fault, Place
from tasker.garbage import collection_paused

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from tasker.document.resolution import Secrets, Variables
    from tasker.document.syntax import Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One resolved file, and all that went into it."""

    root: Object
    files: tuple[tuple[str, str], ...]
    """Name for people and sha256 of every file that was read, the named one first."""
    variables: Mapping[str, str | None]
    """The variables that were asked for, with their values; `None` where one is not set."""
    secrets: Mapping[str, str]
    """The secrets that were used, with their values."""
    reads: frozenset[tuple[str, ...]]
    """The paths of the document that substitutions asked for, whether they were there or not."""
    revision: str
    """A digest of the texts, the overrides and the variables, but not of those that tell of one run."""
    faults: tuple[Fault, ...] = ()
    """What kept some values from being known; only where the caller of `load` asked for as much as there is."""

    def to_config(self) -> Any:
        """The tree as a `pyhocon.ConfigTree`, secrets masked, for its conversions and for Python callers."""
        from tasker.document.export import config_tree  # noqa: PLC0415 - pyhocon takes its time to import

        return config_tree(self.root)


def load(  # noqa: PLR0913 - all but the first go by name
    name: str,
    *,
    folder: Folder,
    variables: Variables,
    secrets: Secrets,
    overrides: Mapping[str, str] = MappingProxyType({}),
    secret_variables: Collection[str] = (),
    of_a_run: Collection[str] = (),
    limits: Limits = Limits(),  # noqa: B008 - it is immutable
    partial: bool = False,
) -> Document:
    """Read the file `name` of the conf folder. Raises `InvalidFileError` with every fault that was found.

    `${NAME}` means `${secret.NAME}` where NAME is one of the `secret_variables`.
    The variables named in `of_a_run` have other values in each run, and are no part of the revision.

    Where `partial`, a document whose texts could be read is answered all the same, with `Unknown` for each value that
    substitution could not make, and its `faults`: what is wrong with the rest can then be told in the same go.
    """
    files = Files(folder, limits)
    try:
        with collection_paused():
            root = files.load(name)
            layers = _overrides(overrides, files, limits)
            if root is None or files.faults:
                raise InvalidFileError(_in_order(files.faults))
            resolver = Resolver(
                files.included, variables, secrets, limits, secret_variables=secret_variables, of_a_run=of_a_run
            )
            tree = resolver.resolve([root, *layers])
    except RecursionError:
        # The limits leave room for this; a caller that is itself nested deep may have taken it.
        fault = Fault("too-deep", Place(folder.shown(name)), "the file leads deeper than there is room for")
        raise InvalidFileError([fault]) from None
    if tree is None or (resolver.faults and not partial):
        raise InvalidFileError(_in_order(resolver.faults))
    lasting = {variable: value for variable, value in resolver.variables.items() if variable not in of_a_run}
    return Document(
        root=tree,
        files=tuple(files.digests.items()),
        variables=MappingProxyType(resolver.variables),
        secrets=MappingProxyType(resolver.secrets),
        reads=frozenset(resolver.reads),
        revision=_revision(files.digests, overrides, lasting),
        faults=tuple(_in_order(resolver.faults)),
    )


def _overrides(overrides: Mapping[str, str], files: Files, limits: Limits) -> list[Object | Fields]:
    """The overrides as objects to lay over the document."""
    layers = []
    for path, value in overrides.items():
        text = f"{path}={value}"
        try:
            reading = read_override(Source(f"--set {text}", text), limits)
        except FaultError as error:
            files.faults.append(error.fault)
            continue
        files.follow(reading.includes, "", ())
        layers.append(reading.root)
    return layers


def _in_order(faults: Iterable[Fault]) -> list[Fault]:
    return sorted(faults, key=lambda fault: (fault.place.file, fault.place.line, fault.place.column))


def _revision(digests: Mapping[str, str], overrides: Mapping[str, str], variables: Mapping[str, str | None]) -> str:
    from hashlib import sha256  # noqa: PLC0415 - only where a document was read

    facts = [*digests.items(), ("", ""), *overrides.items(), ("", ""), *sorted(variables.items())]
    return sha256(repr(facts).encode("utf-8", "surrogatepass")).hexdigest()
