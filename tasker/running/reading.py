"""What a step reads of others: the outputs that its arguments and its condition refer to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasker.pipeline import LateArgument
from tasker.references import outputs_read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasker.document.values import OutputReference
    from tasker.pipeline import Step


def read_by(step: Step) -> Iterator[OutputReference]:
    """The outputs that the step reads."""
    for value in (step.when, *step.arguments.values()):
        if isinstance(value, LateArgument):
            yield from outputs_read(value.value)
