"""Tells whoever observes a run what happens in it, secrets masked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasker.facts import Event, Fact, Level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tasker.clock import Clock
    from tasker.masking import Masker
    from tasker.pipeline import Pipeline, Step

_LEVELS = {Event.STEP_FAILED: Level.ERROR, Event.RUN_FAILED: Level.ERROR} | dict.fromkeys(
    (Event.STEP_RETRYING, Event.RUN_INTERRUPTED), Level.WARNING
)


class Announcer:
    """Makes facts of what happens in one run, and tells every observer."""

    def __init__(
        self,
        pipeline: Pipeline,
        run_id: str,
        observers: Iterable[Callable[[Fact], None]],
        *,
        clock: Clock,
        masker: Masker,
        on_error: Callable[[], None],
    ) -> None:
        """Begin with these observers; one that raises is told nothing more, and `on_error` is called."""
        self.error: Exception | None = None
        """What an observer raised."""
        self._pipeline = pipeline
        self._run_id = run_id
        self._observers = list(observers)
        self._clock = clock
        self._masker = masker
        self._on_error = on_error
        self._hooks = {step.id: str(phase) for phase, steps in pipeline.hooks.items() for step in steps}

    def announce(
        self,
        event: Event,
        step: Step | None = None,
        attempt: int | None = None,
        level: Level | None = None,
        /,
        **details: Any,
    ) -> None:
        """Tell an event of the run's own, of the level that such ones have; of a hook, also in which list it stands."""
        told = {name: self._masker.mask(detail) for name, detail in details.items()}
        if step is not None and step.id in self._hooks:
            told = {"hook": self._hooks[step.id], **told}
        self.tell(event, level or _LEVELS.get(event, Level.INFO), step, attempt, told)

    def handed_on(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """What to announce of outputs; those that a secret was masked in are of no use to another run."""
        if not outputs:
            return {}
        masked = self._masker.mask(dict(outputs)) != outputs
        return {"outputs": dict(outputs), **({"outputs_masked": True} if masked else {})}

    def tell(
        self, event: str, level: Level, step: Step | None, attempt: int | None, details: Mapping[str, Any]
    ) -> None:
        """Tell every observer; all of it is masked already."""
        fact = Fact(
            event=event,
            at=self._clock.now(),
            pipeline=self._pipeline.name,
            revision=self._pipeline.revision,
            run_id=self._run_id,
            level=level,
            step=step.id if step else None,
            task=step.task if step else None,
            attempt=attempt,
            details=details,
        )
        for observe in list(self._observers):
            try:
                observe(fact)
            except Exception as error:  # noqa: BLE001 - the run is ended in order, and this raised again by it
                self._observers.remove(observe)
                self.error = self.error or error
                self._on_error()
