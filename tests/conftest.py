"""What holds for every test: tests agree from one machine to the next, and leave no trace on each other."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from support import postgres
from support.budget import budget

from tasker import registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

settings.register_profile("explore", deadline=None, max_examples=budget(200))  # a busy machine is no fault of the code
settings.register_profile("ci", settings.get_profile("explore"), derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "explore")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's shell sets for tasker is not part of a test."""
    for name in list(os.environ):
        if name.startswith("TASKER_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _registry_as_it_was() -> Iterator[None]:
    """A task that a test defines or discovers is gone after the test, and its module with it."""
    before, modules = dict(registry._tasks), set(sys.modules)
    yield
    registry._tasks.clear()
    registry._tasks.update(before)
    for name in [name for name in sys.modules if name.startswith("tasker_tasks_") and name not in modules]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """A PostgreSQL server for all tests of this process."""
    reason = postgres.missing()
    if reason:
        pytest.skip(reason)
    with postgres.server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: postgres.Server) -> str:
    """The URL of a database that holds nothing of tasker's yet."""
    postgres_server.empty()
    return postgres_server.url


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a history may be kept: a state folder, and a server."""
    if request.param == "sqlite":
        return str(tmp_path / "state")
    url: str = request.getfixturevalue("postgres_url")
    return url
