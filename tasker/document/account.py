"""The account of resolving one document: what it has cost, what was found wrong, and what an instance may change.

It knows no values, and nothing of how they are evaluated: who evaluates them counts, tells and notes here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from tasker.document.cells import UNASKED, Cell
from tasker.faults import Fault

if TYPE_CHECKING:
    from tasker.document.cells import Row, Shape
    from tasker.document.limits import Limits
    from tasker.document.values import Span


class Account:
    """What has become of resolving a document until now."""

    def __init__(self, limits: Limits) -> None:
        """Count against the limits."""
        self.limits = limits
        self.faults: dict[Fault, None] = {}
        """What was found wrong, each fault once."""
        self.stopped = False
        """Whether the document is over a limit, so that nothing more is looked for."""
        self.reads: set[tuple[str, ...]] = set()
        """The paths that substitutions asked for."""
        self.varied = 0
        """How often something was asked for that may be another one in the next instance."""
        self._varying: list[Cell | Shape | Row] = []
        self._lasting_faults: dict[Fault, None] = {}
        self._merges = 0
        self._most_merges = limits.merges

    # Costs and faults

    def count(self, merges: int, span: Span) -> None:
        """Fields or elements were copied."""
        self._merges += merges
        if self._merges > self._most_merges:
            self.stop("too-large", span, f"over {self._most_merges} fields and elements come together by merging")

    def tell(self, code: str, span: Span, message: str, hint: str = "") -> None:
        """Tell a fault."""
        self.faults[Fault(code, span.place, message, hint)] = None
        if len(self.faults) >= self.limits.faults:
            self.stopped = True
            raise StopError

    def stop(self, code: str, span: Span, message: str) -> NoReturn:
        """Tell the fault, and look for nothing more."""
        self.tell(code, span, message)
        self.stopped = True
        raise StopError

    def stop_nesting(self, span: Span) -> NoReturn:
        """Stop at what is nested too deep."""
        self.stop("too-deep", span, f"objects and arrays come to be nested over {self.limits.nesting} levels")

    # Instances

    def expect_instances(self, count: int) -> None:
        """So many instances may follow; what is wrong by now is wrong in all of them."""
        self._lasting_faults = self.faults
        self._most_merges += self.limits.instance_merges * count

    def begin_instance(self) -> None:
        """Forget what may be another one in the next instance, and no more."""
        for each in self._varying:
            each.varies = False
            each.faults = ()
            if isinstance(each, Cell):
                each.result = UNASKED
            else:
                each.made = UNASKED
        self._varying.clear()
        self.faults = dict(self._lasting_faults)

    def note(self, of: Cell | Shape | Row, varied: int, told: int) -> None:
        """Note of what was just evaluated whether it may be another one in the next instance, and its faults.

        `varied` and `told` are what `varied` and the faults had come to before.
        """
        if self.varied != varied:
            of.varies = True
            self._varying.append(of)
        if len(self.faults) > told:
            of.faults = tuple(self.faults)[told:]

    def again(self, of: Cell | Shape | Row) -> None:
        """What was evaluated before is asked for again: it varies as it did, and has the same faults."""
        self.varied += of.varies
        if of.faults:
            self.faults.update(dict.fromkeys(of.faults))


class StopError(Exception):
    """The document is over a limit; the fault has been told, and nothing more is looked for."""
