"""A file's name to a `Document`: read, include, resolve."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tasker.document.files import Files, Folder
from tasker.document.limits import Limits
from tasker.document.reader import FaultError, read_override
from tasker.document.resolution import Resolver
from tasker.document.values import Object, Source, Typed
from tasker.errors import InvalidFileError
from tasker.faults import Fault, Place
from tasker.garbage import collection_paused

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from tasker.document.entries import Entries
    from tasker.document.surroundings import Secrets, Variables
    from tasker.document.syntax import Fields
    from tasker.document.values import Span, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One resolved file, and all that went into it."""

    root: Object
    files: tuple[tuple[str, str], ...]
    """Name for people and sha256 of every file that was read, the named one first."""
    variables: Mapping[str, str | None]
    """The variables that were asked for, with their values; `None` where one is not set."""
    secrets: Mapping[str, str]
    """The secrets that the texts name, whether this document comes to use them or not, with their values."""
    reads: AbstractSet[tuple[str, ...]]
    """The paths of the document that substitutions asked for, whether they were there or not.

    One document of several tells what all of them together have asked for until now.
    """
    revision: str
    """A digest of the texts, the overrides and the variables, but not of those that tell of one run."""
    faults: tuple[Fault, ...] = ()
    """What kept some values from being known."""
    joined: AbstractSet[Span] = frozenset()
    """Where objects with a `name` begin that another one stands before, without a comma between them."""

    def to_config(self) -> Any:
        """The tree as a `pyhocon.ConfigTree`, secrets masked, for its conversions and for Python callers."""
        from tasker.document.export import config_tree  # noqa: PLC0415 - pyhocon takes its time to import

        return config_tree(self.root)


class Template:
    """A conf file with all it includes, read once: of one document, or of one for each entry of its `for_each`."""

    def __init__(
        self,
        name: str,
        *,
        folder: Folder,
        secrets: Secrets,
        secrets_at: str = "",
        overrides: Mapping[str, str] = MappingProxyType({}),
        secret_variables: Collection[str] = (),
        of_a_run: Collection[str] = (),
        limits: Limits = Limits(),  # noqa: B008 - it is immutable
    ) -> None:
        """Read the file `name` of the conf folder. Raises `InvalidFileError` with every fault that was found.

        `secrets_at` is the folder of secrets, as people know it.
        `${NAME}` means `${secret.NAME}` where NAME is one of the `secret_variables`.
        The variables named in `of_a_run` have other values in each run, and are no part of the revision.
        """
        self._shown = folder.shown(name)
        self._overrides = overrides
        self._of_a_run = of_a_run
        files = Files(folder, limits)
        with self._within_limits():
            root = files.load(name)
            layers = _overrides(overrides, files, limits)
        if root is None or files.faults:
            raise InvalidFileError(_in_order(files.faults))
        self._digests = files.digests
        self._joined = frozenset(files.joined)
        self._digested: dict[int, tuple[Value, bytes]] = {}
        self._secret_names = files.secrets
        self._secret = cache(secrets)
        self._resolver = Resolver(
            [root, *layers],
            files.included,
            self._secret,
            limits,
            secrets_at=secrets_at,
            secret_variables=secret_variables,
            of_a_run=of_a_run,
        )

    def entries(self, variables: Variables) -> Entries | None:
        """The entries of `for_each`, where there is one. To be asked for before documents, and once."""
        with self._within_limits():
            return self._resolver.look(variables)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What was found wrong in what was resolved last."""
        return tuple(_in_order(self._resolver.faults))

    def document(self, variables: Variables, instance: str | None = None) -> Document:
        """The document that the file comes to, or the one for an entry of its `for_each`.

        It has `Unknown` for each value that substitution could not make, and its `faults`: what is wrong with the
        rest can then be told in the same go. Raises `InvalidFileError` where too much is wrong.
        """
        resolver = self._resolver
        with self._within_limits():
            tree = resolver.resolve(variables, instance)
        if tree is None:
            raise InvalidFileError(self.faults)
        return Document(
            root=tree,
            files=tuple(self._digests.items()),
            variables=MappingProxyType(dict(resolver.variables)),
            secrets=MappingProxyType({**self._named_secrets, **resolver.secrets}),
            reads=resolver.reads,
            revision=self._revision() if instance is None else self._revision_of(tree, instance),
            faults=self.faults,
            joined=self._joined,
        )

    @cached_property
    def _named_secrets(self) -> dict[str, str]:
        """What may come out of any part of the texts: programs that instances share print more than one of them."""
        return {name: value for name in self._secret_names if name and (value := self._secret(name)) is not None}

    def _revision(self) -> str:
        """A digest of the texts, the overrides and the variables that say what runs."""
        asked = self._resolver.variables.items()
        lasting = sorted((name, value) for name, value in asked if name not in self._of_a_run)
        return _digest([*self._digests.items(), ("", ""), *self._overrides.items(), ("", ""), *lasting])

    def _revision_of(self, tree: Object, instance: str) -> str:
        """A digest of what the texts come to for an entry, so that it changes with what concerns that entry alone."""
        from tasker.document.digests import tree_digest  # noqa: PLC0415 - OpenSSL takes its time to load

        return _digest([instance, *self._overrides.items(), tree_digest(tree, self._digested)])

    @contextmanager
    def _within_limits(self) -> Iterator[None]:
        try:
            with collection_paused():
                yield
        except RecursionError:
            # The limits leave room for this; a caller that is itself nested deep may have taken it.
            fault = Fault("too-deep", Place(self._shown), "the file leads deeper than there is room for")
            raise InvalidFileError([fault]) from None


def given(path: str, value: str) -> Value | None:
    """What an override lays over the document, where that is known without substitutions."""
    try:
        root = read_override(Source(f"--set {path}", f"{path}={value}"), Limits()).root
    except FaultError:
        return None
    return root if isinstance(root, Object) else None


def _overrides(overrides: Mapping[str, str], files: Files, limits: Limits) -> list[Object | Fields]:
    """The overrides as objects to lay over the document."""
    layers = []
    for path, value in overrides.items():
        text = f"{path}={value}"
        try:
            reading = read_override(Typed(f"--set {text.removeprefix('params.')}", text), limits)
        except FaultError as error:
            files.faults.append(error.fault)
            continue
        files.secrets.update(reading.secrets)
        files.follow(reading.includes, "", ())
        layers.append(reading.root)
    return layers


def _in_order(faults: Iterable[Fault]) -> list[Fault]:
    return sorted(faults, key=lambda fault: (fault.place.file, fault.place.line, fault.place.column))


def _digest(facts: object) -> str:
    from hashlib import sha256  # noqa: PLC0415 - only where a document was read

    return sha256(repr(facts).encode("utf-8", "surrogatepass")).hexdigest()
