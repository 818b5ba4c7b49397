"""The task `upload` against real servers on the loopback."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import obstore
import obstore.store
import paramiko
import pytest
from paramiko.sftp import SFTP_FAILURE, SFTP_OK, SFTP_PERMISSION_DENIED
from support.servers import OldSftpServer, WebServer, old_sftp_server, s3_server, sftp_server, web_server
from support.tasks import make, module

uploads = module("_uploads")
QUICK = {"delay": timedelta(0), "timeout": timedelta(seconds=60)}
NAME = "a b#c%d_ü.txt"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "source" / NAME
    file.parent.mkdir()
    file.write_bytes(b"content")
    return file


@pytest.fixture
def upload(tmp_path: Path) -> Callable[..., Any]:
    task = make("upload", tmp_path)

    def run(*arguments: object, **named: object) -> Any:
        try:
            return task.run(*arguments, **{**QUICK, **named})
        finally:
            assert "hunter2" not in str(task.logger)

    return run


# HTTP


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


def test_http_takes_a_file_and_not_a_second_time(web: WebServer, upload: Callable[..., Any], file: Path) -> None:
    first = upload(file, f"{web.url}/in/")
    path = "/in/a%20b%23c%25d_%C3%BC.txt"
    assert web.files == {path: b"content"}
    assert first == {"destination": f"{web.url}{path}", "files": 1, "sent": 1, "size": 7}
    assert upload(file, f"{web.url}{path}")["sent"] == 0
    file.write_bytes(b"changed")
    assert upload(file, f"{web.url}{path}")["sent"] == 1
    assert web.files == {path: b"changed"}


def test_http_takes_a_folder(web: WebServer, upload: Callable[..., Any], file: Path) -> None:
    (file.parent / "sub").mkdir()
    (file.parent / "sub" / "big.bin").write_bytes(os.urandom(3_000_000))
    assert upload(file.parent, f"{web.url}/in")["sent"] == 2
    assert len(web.files["/in/sub/big.bin"]) == 3_000_000
    assert upload(file.parent, f"{web.url}/in")["sent"] == 0


def test_http_keeps_the_query_of_a_signed_url_and_does_not_show_it(
    web: WebServer, upload: Callable[..., Any], file: Path
) -> None:
    outputs = upload(file, f"{web.url}/x?signature=hunter2")
    assert list(web.files) == ["/x?signature=hunter2"]
    assert outputs["destination"] == f"{web.url}/x"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"token": "hunter2"}, "Bearer hunter2"),
        ({"username": "me", "password": "hunter2"}, f"Basic {base64.b64encode(b'me:hunter2').decode()}"),
        ({"headers": {"Authorization": "Custom hunter2"}}, "Custom hunter2"),
    ],
)
def test_http_is_given_credentials(
    given: dict[str, Any], sent: str, web: WebServer, upload: Callable[..., Any], file: Path
) -> None:
    upload(file, f"{web.url}/x", **given)
    assert web.authorizations == {sent}


def test_http_that_fails_for_a_while_is_tried_again(web: WebServer, upload: Callable[..., Any], file: Path) -> None:
    web.failures = [(503, {}), (0, {}), (429, {"Retry-After": "0"})]
    assert upload(file, f"{web.url}/x")["sent"] == 1
    assert [method for method, _ in web.requests].count("PUT") == 4


def test_http_that_goes_on_failing_ends_the_step(web: WebServer, upload: Callable[..., Any], file: Path) -> None:
    web.failures = [(503, {})] * 9
    with pytest.raises(uploads.UploadError, match="the server answers 503 Service Unavailable"):
        upload(file, f"{web.url}/x", attempts=3)
    assert [method for method, _ in web.requests].count("PUT") == 3


@pytest.mark.parametrize(
    ("status", "says"), [(403, "403 Forbidden"), (404, "404 Not Found"), (307, "the address that it redirects to")]
)
def test_http_that_refuses_is_not_tried_again(
    status: int, says: str, web: WebServer, upload: Callable[..., Any], file: Path
) -> None:
    web.failures = [(status, {"Location": "/elsewhere"})] * 9
    with pytest.raises(uploads.UploadError, match=says):
        upload(file, f"{web.url}/x", token="hunter2")
    assert [method for method, _ in web.requests].count("PUT") == 1


def test_http_that_does_not_show_files_is_sent_them_every_time(
    web: WebServer, upload: Callable[..., Any], file: Path
) -> None:
    web.shows = False
    assert upload(file, f"{web.url}/x")["sent"] == 1
    assert upload(file, f"{web.url}/x")["sent"] == 1


def test_a_server_that_is_not_there_and_one_that_says_nothing_end_the_step(
    upload: Callable[..., Any], file: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(uploads.UploadError, match="does not answer"):
            upload(file, url, attempts=2, timeout=timedelta(milliseconds=100))
    with pytest.raises(uploads.UploadError, match=f"{url}: the server does not answer: Connection refused"):
        upload(file, f"{url}?sig=hunter2", attempts=2)


# Object stores


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    with s3_server() as url:
        yield {
            "endpoint": url,
            "region": "us-east-1",
            "access_key_id": "me",
            "secret_access_key": "hunter2",
            "virtual_hosted_style_request": "false",
        }


@pytest.fixture
def bucket(s3: dict[str, str], request: pytest.FixtureRequest) -> obstore.store.S3Store:
    name = f"bucket-{abs(hash(request.node.name))}"
    urlopen(Request(f"{s3['endpoint']}/{name}", method="PUT")).close()
    return obstore.store.S3Store(name, config=s3, client_options={"allow_http": True})  # type: ignore[arg-type]


def keys(bucket: obstore.store.S3Store) -> list[str]:
    return sorted(each["path"] for chunk in obstore.list(bucket) for each in chunk)


def test_an_object_store_takes_a_file_and_not_a_second_time(
    bucket: obstore.store.S3Store, s3: dict[str, str], upload: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "report.txt"
    file.write_bytes(b"content")
    url = f"s3://{bucket.config['bucket']}/deep/er/"
    assert upload(file, url, options=s3) == {"destination": f"{url}report.txt", "files": 1, "sent": 1, "size": 7}
    assert keys(bucket) == ["deep/er/report.txt"]
    assert upload(file, f"{url}report.txt", options=s3)["sent"] == 0
    file.write_bytes(b"changed")
    assert upload(file, url, options=s3)["sent"] == 1
    assert bytes(obstore.get(bucket, "deep/er/report.txt").bytes()) == b"changed"


def test_an_object_store_takes_a_folder_with_large_files_and_odd_names(
    bucket: obstore.store.S3Store, s3: dict[str, str], upload: Callable[..., Any], file: Path
) -> None:
    (file.parent / "big.bin").write_bytes(bytes(6 * 1024 * 1024))
    url = f"s3://{bucket.config['bucket']}"
    assert upload(file.parent, url, options=s3)["sent"] == 2
    assert upload(file.parent, url, options=s3)["sent"] == 0
    assert len(keys(bucket)) == 2
    assert obstore.head(bucket, "big.bin")["size"] == 6 * 1024 * 1024


def test_an_object_store_that_refuses_or_is_not_there_ends_the_step_in_our_words(
    s3: dict[str, str], upload: Callable[..., Any], file: Path
) -> None:
    with pytest.raises(uploads.UploadError, match="there is no such bucket"):
        upload(file, "s3://no-such-bucket/x", options=s3)
    with pytest.raises(uploads.UploadError, match="the object store does not answer"):
        upload(file, "s3://bucket/x", options={**s3, "endpoint": "http://127.0.0.1:9"}, attempts=2)
    with pytest.raises(uploads.UploadError, match="`options` has a key") as caught:
        upload(file, "s3://bucket/x", options={**s3, "hunter2": "x"})
    assert "hunter2" not in str(caught.value)


# SFTP


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """The server's URL, the folder that it serves, and the arguments that let in."""
    folder = tmp_path_factory.mktemp("sftp")
    served = folder / "served"
    served.mkdir()
    key = paramiko.ECDSAKey.generate()
    key.write_private_key_file(str(folder / "host_key"))
    with sftp_server(served, folder / "host_key", "me", "hunter2") as port:
        known = folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")
        yield f"sftp://127.0.0.1:{port}", served, {"username": "me", "password": "hunter2", "known_hosts": known}


def test_sftp_takes_a_file_and_not_a_second_time(
    sftp: tuple[str, Path, dict[str, Any]], upload: Callable[..., Any], file: Path
) -> None:
    url, served, who = sftp
    assert upload(file, f"{url}/one/two/", **who)["sent"] == 1
    there = served / "one" / "two" / NAME
    assert there.read_bytes() == b"content"
    before = there.stat().st_mtime_ns
    assert upload(file, f"{url}/one/two/", **who)["sent"] == 0
    assert there.stat().st_mtime_ns == before
    file.write_bytes(b"changed")
    assert upload(file, f"{url}/one/two/", **who)["sent"] == 1
    assert there.read_bytes() == b"changed"
    assert os.listdir(there.parent) == [NAME]


def test_sftp_takes_a_folder(sftp: tuple[str, Path, dict[str, Any]], upload: Callable[..., Any], file: Path) -> None:
    url, served, who = sftp
    (file.parent / "sub").mkdir()
    (file.parent / "sub" / "big.bin").write_bytes(os.urandom(1_000_000))
    assert upload(file.parent, f"{url}/all", **who)["sent"] == 2
    assert upload(file.parent, f"{url}/all", **who)["sent"] == 0
    assert (served / "all" / "sub" / "big.bin").stat().st_size == 1_000_000


def test_sftp_goes_only_to_a_host_whose_key_is_known(
    sftp: tuple[str, Path, dict[str, Any]], upload: Callable[..., Any], file: Path, tmp_path: Path
) -> None:
    url, _, who = sftp
    (tmp_path / "nobody").touch()
    with pytest.raises(uploads.UploadError, match=r"the host key of .* is not known: add what `ssh-keyscan`"):
        upload(file, f"{url}/x", **{**who, "known_hosts": tmp_path / "nobody"})
    other = paramiko.ECDSAKey.generate()
    (tmp_path / "wrong").write_text(f"[127.0.0.1]:{url.rpartition(':')[2]} {other.get_name()} {other.get_base64()}\n")
    with pytest.raises(uploads.UploadError, match="another host key than the known one"):
        upload(file, f"{url}/x", **{**who, "known_hosts": tmp_path / "wrong"})


def test_sftp_that_refuses_or_is_not_there_ends_the_step_in_our_words(
    sftp: tuple[str, Path, dict[str, Any]], upload: Callable[..., Any], file: Path
) -> None:
    url, served, who = sftp
    with pytest.raises(uploads.UploadError, match="does not accept the credentials"):
        upload(file, f"{url}/x", **{**who, "password": "hunter3"})
    (served / "taken").touch()
    with pytest.raises(uploads.UploadError, match="is not a folder"):
        upload(file, f"{url}/taken/x", **who)
    with pytest.raises(uploads.UploadError, match=r"the connection to 127\.0\.0\.1 fails"):
        upload(file, "sftp://127.0.0.1:9/x", **who, attempts=2)


OldSftp = tuple[OldSftpServer, dict[str, Any]]
"""A server, and the arguments of an upload to it."""


@pytest.fixture
def old_sftp(tmp_path: Path) -> Iterator[OldSftp]:
    """A server that cannot replace a file and holds a file already."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / NAME).write_bytes(b"the good one")
    with old_sftp_server(tmp_path / "served") as server:
        known = tmp_path / "known_hosts"
        known.write_text(f"[127.0.0.1]:{server.port} {server.key.get_name()} {server.key.get_base64()}\n")
        who = {"username": "me", "password": "hunter2", "known_hosts": known, "attempts": 1}
        yield server, {"destination": f"sftp://127.0.0.1:{server.port}/", **who}


def served(server: OldSftpServer) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in server.folder.iterdir()}


def test_sftp_without_the_rename_of_openssh_replaces_a_file(
    old_sftp: OldSftp, upload: Callable[..., Any], file: Path
) -> None:
    server, there = old_sftp
    assert upload(file, **there)["sent"] == 1
    assert served(server) == {NAME: b"content"}
    (server.folder / NAME).unlink()
    assert upload(file, **there)["sent"] == 1
    assert served(server) == {NAME: b"content"}


@pytest.mark.parametrize("renames", [[SFTP_FAILURE], [SFTP_OK, SFTP_FAILURE]])
def test_sftp_that_fails_at_the_rename_leaves_the_file_that_was_there(
    renames: list[int], old_sftp: OldSftp, upload: Callable[..., Any], file: Path
) -> None:
    server, there = old_sftp
    server.renames = renames
    with pytest.raises(uploads.UploadError):
        upload(file, **there)
    assert served(server) == {NAME: b"the good one"}


def test_sftp_that_refuses_the_rename_is_not_asked_for_another(
    old_sftp: OldSftp, upload: Callable[..., Any], file: Path
) -> None:
    server, there = old_sftp
    server.posix_rename = SFTP_PERMISSION_DENIED
    server.renames = [SFTP_OK]
    with pytest.raises(uploads.UploadError, match="the server refuses to write there"):
        upload(file, **there)
    assert server.renames == [SFTP_OK]
    assert served(server) == {NAME: b"the good one"}


def test_sftp_never_replaces_a_folder_by_a_file(old_sftp: OldSftp, upload: Callable[..., Any], file: Path) -> None:
    server, there = old_sftp
    (server.folder / NAME).rename(server.folder / "inside")
    (server.folder / NAME).mkdir()
    (server.folder / "inside").rename(server.folder / NAME / "inside")
    with pytest.raises(uploads.UploadError, match="is there, and is a folder"):
        upload(file, **there)
    assert [each.name for each in server.folder.rglob("*")] == [NAME, "inside"]
