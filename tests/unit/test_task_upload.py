"""The task `upload`, as far as it needs no server: folders, destinations, and when to try again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.tasks import make, module

uploads = module("_uploads")


def access(attempts: int) -> object:
    return uploads.Access(timeout=1, attempts=attempts, delay=1)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "sub" / "b.txt").write_text("bb")
    (folder / "latest").symlink_to("sub/b.txt")
    (folder / "sub-link").symlink_to("sub")
    return folder


def test_a_file_goes_into_a_folder_or_under_a_new_name(source: Path, tmp_path: Path) -> None:
    task = make("upload", tmp_path)
    there = tmp_path / "there"
    assert task.run(source / "a.txt", f"{there}/") == {
        "destination": f"{there}/a.txt",
        "files": 1,
        "sent": 1,
        "size": 1,
    }
    assert task.run(source / "a.txt", str(there))["destination"] == f"{there}/a.txt"
    assert task.run(source / "a.txt", f"file://{there}/other%20name.txt")["destination"] == f"{there}/other name.txt"
    assert sorted(os.listdir(there)) == ["a.txt", "other name.txt"]


def test_a_relative_name_is_one_in_the_current_folder(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make("upload", tmp_path).run(source / "a.txt", "copy.txt")
    assert (tmp_path / "copy.txt").read_text() == "a"


def test_a_folder_goes_with_all_its_files_and_a_second_time_sends_nothing(source: Path, tmp_path: Path) -> None:
    task = make("upload", tmp_path)
    there = tmp_path / "there"
    assert task.run(source, str(there)) == {"destination": str(there), "files": 3, "sent": 3, "size": 5}
    assert sorted(str(each.relative_to(there)) for each in there.rglob("*.txt")) == ["a.txt", "sub/b.txt"]
    assert (there / "latest").read_text() == "bb"
    before = (there / "a.txt").stat()
    (source / "sub" / "b.txt").write_text("cc")
    assert task.run(source, str(there))["sent"] == 2
    assert (there / "a.txt").stat().st_ino == before.st_ino


def test_what_cannot_be_sent_is_refused(source: Path, tmp_path: Path) -> None:
    task = make("upload", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="`source` does not exist"):
        task.run(tmp_path / "missing", str(tmp_path / "x"))
    with pytest.raises(ValueError, match="no file to send"):
        task.run(tmp_path / "empty", str(tmp_path / "x"))
    with pytest.raises(ValueError, match="`destination` is in `source`"):
        task.run(source, str(source / "sub"))
    (source / "astray").symlink_to("/etc/passwd")
    with pytest.raises(ValueError, match="leads out of"):
        task.run(source, str(tmp_path / "x"))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("destination", "arguments", "says"),
    [
        ("ftp://host/x", {}, "begins with ftp:, which is none of"),
        ("https://me:hunter2@host/x", {}, "has credentials in its URL"),
        ("https://hunter2@host/x", {}, "has credentials in its URL"),
        ("sftp://me:hunter2@host/x", {}, "has credentials in its URL"),
        ("s3:///x", {}, "names no bucket"),
        ("https:///hunter2", {}, "names no host"),
        ("file://host/hunter2", {}, "three slashes"),
        ("s3://bucket/a#hunter2", {}, "bare # or [?]"),
        ("s3://bucket/x", {"password": "hunter2"}, "no use for `password`"),
        ("/tmp/x", {"token": "hunter2", "headers": {}}, "no use for `headers`, `token`"),
        ("https://host/x", {"token": "hunter2", "username": "me"}, "not both"),
    ],
)
def test_a_destination_that_cannot_be_meant_is_refused_and_not_repeated(
    destination: str, arguments: dict[str, object], says: str, source: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        make("upload", tmp_path).run(source / "a.txt", destination, **arguments)
    assert "hunter2" not in str(caught.value)


def test_what_may_pass_is_tried_again_with_longer_and_longer_pauses() -> None:
    outcomes = [uploads.TryAgainError("busy"), uploads.TryAgainError("busy", after=30), uploads.TryAgainError("busy")]
    reasons: list[str] = []
    pauses: list[float] = []

    def action() -> bool:
        if outcomes:
            raise outcomes.pop(0)
        return True

    assert uploads.retrying(action, access(4), reasons.append, pauses.append)
    assert (reasons, pauses) == (["busy"] * 3, [1, 30, 4])


def test_attempts_end_and_no_server_can_ask_for_an_endless_pause() -> None:
    pauses: list[float] = []

    busy = uploads.TryAgainError("busy", after=86400)

    def action() -> bool:
        raise busy

    with pytest.raises(uploads.UploadError, match="busy"):
        uploads.retrying(action, access(3), lambda _: None, pauses.append)
    assert pauses == [60, 60]


def test_a_refusal_is_not_tried_again() -> None:
    refusal = uploads.UploadError("no")

    def action() -> bool:
        raise refusal

    with pytest.raises(uploads.UploadError, match="no"):
        uploads.retrying(action, access(3), lambda _: None, pytest.fail)


def test_access_shows_no_credential() -> None:
    shown = repr(
        uploads.Access(timeout=1, attempts=1, delay=0, username="u7", password="p7", token="t7", headers={"h7": ""})
    )
    assert not any(secret in shown for secret in ("u7", "p7", "t7", "h7"))
