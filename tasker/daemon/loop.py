"""`tasker watch`: one main loop, to which everything that happens comes, and in which every decision is made.

Threads only wake it: APScheduler's for slots, the watcher's for edits, the recorder's for answers of the history. What
authors wrote, conf files as well as tasks, is read and run in processes below it, and never here.
"""

from __future__ import annotations

import os
import selectors
import signal
from collections import deque
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

from tasker import linux
from tasker.allowance import allowance
from tasker.clock import Clock
from tasker.conf_files import conf_files
from tasker.daemon.cancellation import Cancellation
from tasker.daemon.deployment import Deployment
from tasker.daemon.dispatch import Dispatch
from tasker.daemon.inbox import Inbox
from tasker.daemon.recovery import (
    JOURNALS,
    MARK,
    PLACE,
    Left,
    clear_away,
    end_leftovers,
    end_leftovers_of,
    remembered,
)
from tasker.daemon.reloading import Reloading
from tasker.errors import TaskerError
from tasker.facts import Event, Fact, Level
from tasker.history import Retention, make_state_folder, recorder, this_daemon
from tasker.history.recorder import Recorder
from tasker.launching.generation import Generation
from tasker.launching.messages import Bounds, Configured, Gone, Lost, Ready, Refused, RunBegan, RunEnded, Told
from tasker.monitoring.state import DaemonState
from tasker.run import longest_stop_s
from tasker.running.process import death
from tasker.running.stop import Echoes
from tasker.running.workspace import prune
from tasker.scheduling.alarm import Alarm
from tasker.scheduling.scheduler import Scheduler
from tasker.watching.survey import Survey, survey
from tasker.watching.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tasker.daemon.recovery import Memory
    from tasker.history import Orphan
    from tasker.history.recorder import HistoryReplaced
    from tasker.launching.messages import Message
    from tasker.monitoring.metrics import Metrics
    from tasker.settings import Settings

_TURN_S = 1.0
"""Seconds after which the loop turns though nothing has happened, to look after the house."""
_STEP_S = 1.0
"""Seconds by which the wall clock must run ahead of the monotonic one, or behind, to count as set."""
_ORPHANS_S = 30.0
"""Seconds between looks for runs of other hosts' daemons that died."""
_PRUNING_S = 3600.0
"""Seconds between two looks for workspaces that are old."""
_PRUNED_WITHIN_S = 600.0
"""Seconds after which the rest of them is left for the next time."""
_AGAIN_S = 2.0
"""Seconds until a launcher that died is followed by another."""
_FOLLOW_UP_S = 15.0
"""Seconds beyond the longest that a run takes to stop: what has not ended by then is killed."""
_KILLED_S = 10.0
"""Seconds that what is killed gets to be gone before the daemon leaves it behind."""
_AT_A_TIME_S = 0.1
"""Seconds for which launchers are listened to at a time: signals and slots are not to wait for all they have to say."""
_HELD_UP_S = 30.0
"""Seconds without a turn after which others, who share the history, may soon take this daemon for dead."""
_ANSWER_S = 10.0
"""Seconds after which a history that does not answer is told of."""
_LAST_WORDS_S = 10.0
"""Seconds that the history gets at the end to write what waits."""


@dataclass(frozen=True, slots=True)
class _Report:
    """What a thread has to say of how something does: `error` is `None` where it does well again."""

    what: str
    error: str | None


_START_ANEW = "it ends, to be started anew"


class UnfitHistoryError(TaskerError):
    """The history cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """What a person decides about the daemon."""

    folder: Path
    """The folder of pipelines."""
    state: Path
    """The folder of what the daemon must remember: its history, and journals of runs."""
    history: str | Path
    """Where the history is: mostly `state`, else the URL of a PostgreSQL server."""
    max_runs: int = field(default_factory=lambda: allowance().runs)
    """Runs that go on at once."""
    poll_s: float | None = None
    """Seconds between looks at the folders; `None` where the system is to tell of changes."""
    retention: Retention = field(default_factory=Retention)


class Daemon:
    """Watches, schedules and runs, until it is told to stop."""

    def __init__(
        self,
        watching: Watching,
        settings: Settings,
        log: Callable[[Fact], None],
        *,
        metrics: Metrics | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Tell every fact to `log`."""
        self._folder = watching.folder
        self._conf_dir = settings.conf_dir or watching.folder
        self._settings = replace(settings, conf_dir=self._conf_dir)
        self._log = log
        self._metrics = metrics
        self._clock = clock or Clock()
        self._me = this_daemon(self._clock.now())
        self._inbox: Inbox[object] = Inbox()
        self._selector = selectors.DefaultSelector()
        self._place = watching.state.absolute()
        self._journals = self._place / JOURNALS
        self._recorder = Recorder(watching.history, self._me, self._inbox.post, retention=watching.retention)
        self._alarm = Alarm(partial(self._inbox.post, None))
        self._max_runs = watching.max_runs
        self._scheduler = Scheduler(watching.max_runs)
        self._reloading = Reloading(watching.folder, self._new_generation)
        self._dispatch = Dispatch(
            self._scheduler,
            self._reloading,
            self._recorder,
            self._announce,
            self._clock,
            self._journals,
        )
        self._cancellation = Cancellation(self._recorder, self._dispatch)
        self._deployment = Deployment(
            self._scheduler, self._dispatch, self._alarm, self._recorder, self._announce, self._clock, metrics
        )
        self._reloading.observer = self._deployment
        self._watcher = Watcher(
            [self._conf_dir, *self._settings.task_folders, self._settings.secrets],
            self._look,
            poll_s=watching.poll_s,
            troubled=partial(self.report, "watch"),
        )
        self._looking = Lock()
        self._seen: Survey | None = None
        """What was seen last, by whichever thread looked."""
        self._found: Survey | None = None
        """What the main loop heard of last."""
        self._opened = False
        """Whether the history has told what earlier daemons left."""
        self._unfit = ""
        self._echoes = Echoes()
        self._stopping: list[int] = []
        """The signals that asked to stop."""
        self._numbers = 0
        self._next_look = self._next_orphans = self._next_pruning = 0.0
        self._again_at: float | None = None
        self._give_up_at = self._leave_at = float("inf")
        self._untold: deque[tuple[Generation, Message]] = deque()
        """What launchers have told, and there was no time for yet."""
        self._hangs = False
        """Whether the history has been asked something, and does not answer."""
        self._offset = self._wall_offset()
        self.state = DaemonState(turned_at=self._clock.monotonic())
        """How it stands; a new one each turn, for whoever asks from another thread."""

    def run(self, *, http: str | None = None) -> int:
        """Go on until a signal asks to stop; the exit status. Raises `UnfitHistoryError`.

        `http` is the address at which it is asked how it does, to be announced.
        """
        os.environ |= {MARK: self._me.id, PLACE: str(self._place)}
        linux.adopt_orphans()
        self._selector.register(self._inbox, selectors.EVENT_READ)
        with self._heeding_signals(), ExitStack() as closing:
            closing.callback(self._close)
            with suppress(OSError):  # the runs do without, and the history tells if it is the disk
                make_state_folder(self._place)
                self._journals.mkdir(exist_ok=True)
            self._recorder.start()
            self._watcher.start()
            self._look()
            self._alarm.start()
            self._announce_daemon(
                Event.DAEMON_STARTED,
                folder=str(self._folder),
                files=len(conf_files(self._folder)),
                pid=os.getpid(),
                watches=self._watcher.mode,
                http=http,
                max_runs=self._max_runs,
            )
            while not self._is_over():
                self._turn()
        if self._unfit:
            raise UnfitHistoryError(self._unfit)
        return 128 + self._stopping[0]

    def report(self, what: str, error: str | None) -> None:
        """Say that something does not work, or with `None` that it does again; from any thread."""
        self._inbox.post(_Report(what, error))

    # The main loop

    def _turn(self) -> None:
        """Wait for something to happen, and act on it."""
        events = self._selector.select(0 if self._untold else _TURN_S)
        if self._was_held_up():
            return
        for item in self._inbox.take():
            self._hear(item)
        self._listen([key.fileobj for key, _ in events if isinstance(key.fileobj, Generation)])
        self._mind_the_clock()
        self._keep_house()
        if self._opened and not self._stopping:
            self._dispatch.carry_out(self._scheduler.tick(self._clock.now()))
        self._dispatch.flush()
        self._alarm.at(self._scheduler.turns_at)
        self.state = replace(
            self.state,
            turned_at=self._clock.monotonic(),
            ready=self.state.ready or (self._opened and self._reloading.settled),
            stopping=bool(self._stopping),
            waiting=self._scheduler.waiting,
            running=self._dispatch.running,
            polling=self._watcher.mode == "poll",
            invalid=self._deployment.faults,
            runs_on=self._deployment.runs_on,
        )

    def _is_over(self) -> bool:
        """Whether there is nothing left to do, or nothing left to wait for."""
        ended = self._dispatch.running == 0 or self._clock.monotonic() >= self._leave_at
        return bool(self._unfit) or (bool(self._stopping) and ended)

    def _was_held_up(self) -> bool:
        """Whether it has stood still for so long that another may have its runs: it must start nothing then."""
        idle_s = self._clock.monotonic() - self.state.turned_at
        if idle_s >= _HELD_UP_S and self._opened and not self._recorder.exclusive:
            self._unfit = f"this daemon was held up for {idle_s:.0f} s, and others may have its runs: {_START_ANEW}"
        return bool(self._unfit)

    def _listen(self, generations: Sequence[Generation]) -> None:
        """Act on what launchers tell; what there is no time for now comes first in the next turn."""
        if not self._untold:
            self._untold.extend((generation, told) for generation in generations for told in generation.receive())
        until = self._clock.monotonic() + _AT_A_TIME_S
        while self._untold and self._clock.monotonic() < until:
            self._told(*self._untold.popleft())

    def _hear(self, item: object) -> None:
        """Act on what a thread or a signal handler has left."""
        match item:
            case Survey():
                self._surveyed(item)
            case int():
                self._signalled(item)
            case _Report(what, None):
                self._recovered(what)
            case _Report(what, str(error)):
                self._trouble(what, error)
            case _:
                self._hear_of_history(item)

    def _hear_of_history(self, item: object) -> None:
        """Act on what the recorder tells."""
        match item:
            case recorder.Answered():
                item()
            case recorder.HistoryOpened():
                at = self._clock.now()
                self._recorder.submit(lambda history: remembered(history, self._place, at), self._remember)
            case recorder.HistoryTroubled():
                self._hangs = False  # it has answered, and says itself when it is well again
                self._trouble("history", item.error)
                self._dispatch.history_troubled()
            case recorder.HistoryRecovered():
                self._recovered("history", log_lines_dropped=item.lines_dropped)
                self._dispatch.history_recovered()
            case recorder.HistoryReplaced():
                self._history_replaced(item)
            case recorder.HistoryEvicted():
                self._unfit = f"another daemon took this one for dead, and has its runs: {_START_ANEW}"
            case recorder.HistoryRefused():
                self._trouble("history", item.error)
            case recorder.HistoryUnfit():
                self._unfit = item.error

    def _told(self, generation: Generation, message: Message) -> None:
        """Act on what a launcher tells."""
        match message:
            case Told(fact=fact):
                self._dispatch.told(fact)
            case RunBegan():
                self._dispatch.began(message)
            case Configured():
                self._dispatch.configured(message)
            case RunEnded():
                self._dispatch.ended(message)
            case Refused():
                self._dispatch.refused(message)
            case Lost():
                self._launcher_lost(generation, message.status)
            case Gone():
                self._selector.unregister(generation)
                self._reloading.gone(generation)
                generation.close()
            case _:
                self._reloading.hear(generation, message)
        if isinstance(message, Ready):
            self._recovered("tasks")
            self._dispatch.start_waiting()

    def _keep_house(self) -> None:
        """What is to be looked at every second or so."""
        now = self._clock.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _TURN_S
        self._reap()
        if self._again_at is not None and now >= self._again_at:
            self._again_at = None
            self._reload(self._reloading.revalidate)
        for generation in self._reloading.generations:
            generation.mind()
        self._prune_workspaces(now)
        self._mind_the_history()
        self._cancellation.look()
        if now >= self._give_up_at:
            self._give_up()
        if self._opened and not self._recorder.exclusive and now >= self._next_orphans:
            self._next_orphans = now + _ORPHANS_S
            at = self._clock.now()  # the same where the history is asked again: those found are then known
            self._recorder.submit(lambda history: history.orphans(at), self._take_over)
        if self._opened and self._reloading.settled:
            self._deployment.settled(self._reloading.lacks)
            self._dispatch.take_up_rest()

    # Conf files and code

    def _look(self) -> None:
        """Look at the folders, in the watcher's thread; at the start in this one."""
        with self._looking:
            folders, secrets = self._settings.task_folders, self._settings.secrets
            self._seen = survey(self._conf_dir, folders, self._seen, secrets=secrets)
            self._inbox.post(self._seen)

    def _surveyed(self, found: Survey) -> None:
        self._found = found
        if self._opened and not self._stopping:
            self._reload(partial(self._reloading.found, found))
            if found.troubles:
                self._trouble("watch", "; ".join(found.troubles))
            elif self._watcher.is_as_asked:
                self._recovered("watch")

    def _reload(self, act: Callable[[], None]) -> None:
        """Have files validated, or code imported; where there is no process for it, after a moment."""
        try:
            act()
        except OSError as error:
            self._trouble("tasks", f"no process can be had to import the tasks: {error.strerror or error}")
            self._again_at = self._clock.monotonic() + _AGAIN_S

    def _new_generation(self, refused: Mapping[str, str] | None) -> Generation:
        self._numbers += 1
        patient = Bounds()
        bounds = patient if refused is None else replace(patient, importing_s=patient.hurried_importing_s)
        generation = Generation(self._numbers, self._settings, bounds=bounds, refused=refused or {})
        self._selector.register(generation, selectors.EVENT_READ)
        return generation

    def _launcher_lost(self, generation: Generation, status: int) -> None:
        """A launcher died: another takes its place, after a moment."""
        if not self._stopping:
            self._trouble("tasks", f"the process that has the tasks imported died: {death(status)}")
            self._again_at = self._clock.monotonic() + _AGAIN_S
        self._reloading.lost(generation)

    # The history

    def _remember(self, memory: Memory) -> None:
        """The history is open: take up where the daemons before this one left off."""
        if self._recorder.exclusive:
            end_leftovers_of(self._place, self._me.id)
        self._take_over(memory.orphans)
        self._dispatch.adopt(memory.broken_off)
        clear_away(memory.over)
        self._deployment.remember(memory.pipelines)
        newest_last = sorted(memory.pipelines, key=lambda each: each.record.updated_at)
        self._reloading.remember(each.snapshot for each in newest_last if each.snapshot)
        self._opened = True
        if self._found is not None:
            self._surveyed(self._found)

    def _take_over(self, orphans: Sequence[Orphan]) -> None:
        """Runs of dead daemons are this one's now: what is left of them is ended before anything else starts."""
        end_leftovers(orphans)
        self._dispatch.adopt(Left(orphan.run.id, orphan.run.pipeline) for orphan in orphans)

    def _history_replaced(self, told: HistoryReplaced) -> None:
        """There is a new history, which knows nothing. With it all is well again: it is only to be told."""
        moved_to = str(told.moved_to) if told.moved_to else None
        self._announce_trouble("history", told.error, moved_to=moved_to)
        self._deployment.keep_all(self._reloading.pipelines)
        self._dispatch.history_replaced()

    # Signals

    @contextmanager
    def _heeding_signals(self) -> Iterator[None]:
        """Have signals come to the main loop. After it none may cut short what remains to be said, which is bounded."""
        heeded = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        for each in heeded:
            signal.signal(each, lambda number, _frame: self._inbox.post(int(number)))
        try:
            yield
        finally:
            for each in heeded:
                signal.signal(each, signal.SIG_IGN)
            self._inbox.close()

    def _signalled(self, signum: int) -> None:
        if signum == signal.SIGHUP:
            if self._opened and not self._stopping:
                self._announce_daemon(Event.DAEMON_RELOADING, signal=signal.Signals(signum).name)
                self._reload(self._reloading.revalidate)
            return
        if self._echoes.is_one(signum):
            return
        self._stopping.append(signum)
        if len(self._stopping) > 1:
            self._give_up()
            return
        name = signal.Signals(signum).name
        self.state = replace(self.state, stopping=True)
        self._announce_daemon(Event.DAEMON_STOPPING, signal=name, running=self._dispatch.running)
        self._give_up_at = self._clock.monotonic() + longest_stop_s(self._settings.grace_s) + _FOLLOW_UP_S
        self._scheduler.stop()
        self._dispatch.stop(f"the daemon was stopped by {name}")

    def _give_up(self) -> None:
        """Wait no longer for runs to end; what cannot even be killed is left behind."""
        self._dispatch.kill()
        self._give_up_at = float("inf")
        self._leave_at = min(self._leave_at, self._clock.monotonic() + _KILLED_S)

    def _close(self) -> None:
        """Let go of everything, in order; the history last, as it takes what all others still have to say."""
        self._watcher.stop()
        self._alarm.stop()
        for generation in self._reloading.generations:
            generation.close()
        written = self._recorder.drain(_LAST_WORDS_S)
        for item in self._inbox.take():
            if isinstance(item, recorder.Answered) and written:
                item()
        error = None if written else "not all that happened is in the history"
        self._announce_daemon(Event.DAEMON_STOPPED, Level.INFO if written else Level.ERROR, error=error)

    # The house

    def _prune_workspaces(self, now: float) -> None:
        """Have old workspaces removed, by a thread: they may be large."""
        if now >= self._next_pruning and self._opened:
            self._next_pruning = now + _PRUNING_S
            prune_all = partial(prune, self._settings.workspaces, self._clock.now(), within_s=_PRUNED_WITHIN_S)
            Thread(target=prune_all, name="prune-workspaces", daemon=True).start()

    def _mind_the_history(self) -> None:
        """Notice that the history does not answer: it may not even refuse."""
        hangs = self._recorder.held_up_s >= _ANSWER_S
        if hangs and not self._hangs:
            self._trouble("history", f"it has not answered for over {_ANSWER_S:.0f} s")
        elif self._hangs and not hangs:
            self._recovered("history")
        self._hangs = hangs

    def _wall_offset(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()

    def _mind_the_clock(self) -> None:
        """Notice that the clock was set."""
        before, self._offset = self._offset, self._wall_offset()
        step = self._offset - before
        if abs(step) >= _STEP_S:
            self._announce_daemon(Event.CLOCK_STEPPED, Level.WARNING, by_s=round(step, 3))
            # What is claimed on credit cannot be told from what was claimed before: it is not to be due again.
            if step < 0 and not self._dispatch.on_credit:
                self._scheduler.rewind(self._clock.now())
            self._alarm.reset()

    def _reap(self) -> None:
        """Bury what this process has become the parent of, as the first one of a container does."""
        launchers = {generation.pid for generation in self._reloading.generations}
        for pid in linux.children(os.getpid()):
            if pid not in launchers:
                linux.reap(pid)

    # Telling

    def _announce(self, fact: Fact) -> None:
        self._log(fact)
        if self._metrics:
            self._metrics.observe(fact)

    def _announce_daemon(self, event: Event, level: Level = Level.INFO, **details: Any) -> None:
        told = {name: value for name, value in details.items() if value is not None}
        self._announce(Fact(event=event, at=self._clock.now(), level=level, details=told))

    def _trouble(self, what: str, error: str) -> None:
        """Tell, once, that something does not work."""
        if self.state.troubles.get(what) != error:
            self.state = replace(self.state, troubles={**self.state.troubles, what: error})
            self._announce_trouble(what, error)

    def _announce_trouble(self, what: str, error: str, **details: Any) -> None:
        self._announce_daemon(Event.DAEMON_TROUBLED, Level.ERROR, what=what, error=error, **details)

    def _recovered(self, what: str, **details: Any) -> None:
        if what in self.state.troubles:
            left = {name: error for name, error in self.state.troubles.items() if name != what}
            self.state = replace(self.state, troubles=left)
            self._announce_daemon(Event.DAEMON_RECOVERED, what=what, **details)
