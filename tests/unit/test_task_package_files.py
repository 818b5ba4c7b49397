"""The task `package_files`: what it copies, and that it runs none of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tasks import make


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that must not be imported."""
    root = tmp_path / "site" / "carrier_of_files"
    (root / "sql" / "deep").mkdir(parents=True)
    (root / "__init__.py").write_text("raise AssertionError('it was imported')")
    (root / "sql" / "a.sql").write_text("select 1")
    (root / "sql" / "deep" / "b.sql").write_text("select 2")
    monkeypatch.syspath_prepend(str(root.parent))
    return root


def test_files_keep_their_places_and_a_second_run_writes_nothing(package: Path, tmp_path: Path) -> None:
    task = make("package_files", tmp_path)
    found = task.run(package.name, tmp_path / "out", folder="sql")
    assert found == {"directory": str(tmp_path / "out"), "files": 2}
    assert (tmp_path / "out" / "deep" / "b.sql").read_text() == "select 2"
    first = (tmp_path / "out" / "a.sql").stat()
    task.run(package.name, tmp_path / "out", folder="sql")
    assert (tmp_path / "out" / "a.sql").stat().st_ino == first.st_ino


def test_a_pattern_chooses(package: Path, tmp_path: Path) -> None:
    make("package_files", tmp_path).run(package.name, tmp_path / "out", pattern="sql/*.sql")
    assert [each.name for each in (tmp_path / "out").rglob("*.sql")] == ["a.sql"]


def test_what_is_outside_the_package_is_not_copied(package: Path, tmp_path: Path) -> None:
    (tmp_path / "site" / "other.sql").write_text("hush")
    (package / "link.sql").symlink_to(tmp_path / "site" / "other.sql")
    for folder, pattern in (("..", "*.sql"), (".", "link.sql")):
        with pytest.raises(FileNotFoundError, match="matches"):
            make("package_files", tmp_path).run(package.name, tmp_path / "out", folder=folder, pattern=pattern)


@pytest.mark.parametrize("name", ["no_such_package", "../etc", "xml.dom", "textwrap", ""])
def test_a_package_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="`package` is none that is installed here"):
        make("package_files", tmp_path).run(name, tmp_path / "out")


def test_a_folder_that_is_not_there_is_refused(package: Path, tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="`folder` does not exist"):
        make("package_files", tmp_path).run(package.name, tmp_path / "out", folder="slq")
