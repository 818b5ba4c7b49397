"""What substitutions mean that the document does not define: variables, secrets, and what only a run finds out.

It knows nothing of cells and how they are evaluated; a variable that needs a text of the document is given a `Peek`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from tasker.document.cells import Broken
from tasker.document.values import MASK, RUN_KEYS, Late, OutputReference, RunReference, Scalar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from tasker.document.account import Account
    from tasker.document.syntax import Substitution
    from tasker.document.values import Span, Value

Peek: TypeAlias = "Callable[[str], str | None]"
"""Asks for the text of another path of the document; `None` where there is none, or where it needs the asker."""

Variables: TypeAlias = "Callable[[str, Peek], str | None]"
"""Answers what a substitution means that the document does not define; `None` where nothing does."""

Secrets: TypeAlias = "Callable[[str], str | None]"
"""Answers a secret's value by its name."""

RUN_VARIABLES = ("CWD", "PLATFORM", "TODAY", "RUN_ID", "RUN_TIME", "PIPELINE", "WORKSPACE", "CONF_DIR")
"""The variables that every file may read, besides the environment."""

FOR_EACH = "for_each"
"""The key that makes several documents of one."""
ITEM = "item"
"""What `${item.…}` begins with: the entry of `for_each` that a document is resolved for."""
ENTRY_KEY = "key"
"""The field of each entry that holds its key."""

SECRET = "secret"  # noqa: S105 - the word itself
"""What `${secret.NAME}` begins with."""

_OF_AN_INSTANCE = ("TODAY", "RUN_ID", "RUN_TIME", "PIPELINE", "WORKSPACE")
"""Those that may mean something else in each instance of a file."""


class Surroundings:
    """What lies around one document."""

    def __init__(
        self,
        secrets: Secrets,
        account: Account,
        *,
        secrets_at: str,
        secret_variables: Collection[str],
        of_a_run: Collection[str],
    ) -> None:
        """Ask for secrets there, in what people know as the folder `secrets_at`; of variables that are secrets, too.

        The variables `of_a_run` have other values in each run.
        """
        self.variables: dict[str, str | None] = {}
        """The variables that were asked for, with their values; `None` where one is not set."""
        self.secrets: dict[str, str] = {}
        """The secrets that were used, with their values."""
        self._ask_secret = secrets
        self._secrets_at = secrets_at
        self._account = account
        self._secret_variables = secret_variables
        self._of_a_run = of_a_run

    def begin(self, variables: Variables) -> None:
        """Ask for variables there from now on; what may be otherwise in another instance is asked for anew."""
        self._ask_variable = variables
        for name in _OF_AN_INSTANCE:
            self.variables.pop(name, None)

    def variable(self, node: Substitution, peek: Peek) -> Scalar | None:
        """`${NAME}`; `None` where there is none."""
        name = node.name
        if name in self._secret_variables:
            return self._secret(name, node.span)
        if name not in self.variables:
            self.variables[name] = self._ask_variable(name, peek)
        value = self.variables[name]
        self._account.varied += name in _OF_AN_INSTANCE
        if value is None:
            return None
        return Scalar(node.span, value, value, lasting=f"${{{name}}}" if name in self._of_a_run else None)

    def output(self, node: Substitution) -> Late | Broken:
        """`${outputs.STEP.KEY}`."""
        if len(node.path) == 1:
            self._account.tell("unresolved-substitution", node.span, "this names no step", "write ${outputs.STEP.KEY}")
            return Broken(node.span)
        reference = OutputReference(node.span, node.path[1], node.path[2:], optional=node.optional)
        return Late(node.span, (reference,))

    def run(self, node: Substitution) -> Late | Broken:
        """`${run.KEY}`."""
        key = ".".join(node.path[1:])
        if key not in RUN_KEYS:
            hint = f"write one of {', '.join(f'${{run.{known}}}' for known in RUN_KEYS)}"
            message = "this names nothing that a run tells"
            self._account.tell("unresolved-substitution", node.span, message, hint)
            return Broken(node.span)
        return Late(node.span, (RunReference(node.span, key, optional=node.optional),))

    def secret(self, node: Substitution) -> Scalar | Broken | None:
        """`${secret.NAME}`."""
        name = ".".join(node.path[1:])
        value = self._secret(name, node.span)
        if value is not None or node.optional:
            return value
        message = f"there is no secret named '{name}'"
        self._account.tell("unresolved-substitution", node.span, message, self._secret_hint(name))
        return Broken(node.span)

    def _secret_hint(self, name: str) -> str:
        """Where the secret would be, and how near it may be to that."""
        if name in self._secret_variables:
            variable = "the variable that --secret-env names is not set"
        elif self._ask_variable(name, lambda _: None) is not None:
            variable = f"a variable of this name is set: --secret-env {name} makes it a secret"
        else:
            variable = "or a variable that --secret-env names"
        return f"a secret is a file in {self._secrets_at or 'the folder that --secrets names'}; {variable}"

    def _secret(self, name: str, span: Span) -> Scalar | None:
        self._account.reads.add((SECRET, name))
        if name not in self.secrets:
            value = self._ask_secret(name) if name else None
            if value is None:
                return None
            self.secrets[name] = value
        return Scalar(span, self.secrets[name], self.secrets[name], MASK)


LATE_ROOTS: Mapping[str, Callable[[Surroundings, Substitution], Value | Broken | None]] = {
    "outputs": Surroundings.output,
    "run": Surroundings.run,
    SECRET: Surroundings.secret,
}
"""What substitutions mean that no document defines, by the first key of their path."""
