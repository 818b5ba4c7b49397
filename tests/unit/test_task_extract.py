"""The task `extract`: archives from people who do not mean well."""

from __future__ import annotations

import gzip
import io
import os
import resource
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tasks import make

MIB = 1024 * 1024


def entry(name: str, content: bytes = b"", **facts: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for fact, value in facts.items():
        setattr(info, fact, value)
    return info, content


def link(name: str, leads_to: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, type=kind, linkname=leads_to)


def packed(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def extract(tmp_path: Path) -> Callable[..., object]:
    """Extract to `tmp_path/out/target`; what appears beside it is an escape."""
    task = make("extract", tmp_path)
    return lambda archive, **limits: task.run(archive, tmp_path / "out" / "target", **limits)


def written(tmp_path: Path) -> list[str]:
    return sorted(str(each.relative_to(tmp_path / "out")) for each in (tmp_path / "out").rglob("*"))


def test_files_folders_links_and_hard_links_come_out(extract: Callable[..., object], tmp_path: Path) -> None:
    archive = packed(
        tmp_path / "a.tgz",
        entry("./", type=tarfile.DIRTYPE),
        entry("sub/run.sh", b"#!", mode=0o4755),
        entry("empty", type=tarfile.DIRTYPE),
        link("sub/latest", "../sub/run.sh"),
        link("same", "sub/run.sh", tarfile.LNKTYPE),
    )
    assert extract(archive) == {"directory": str(tmp_path / "out" / "target"), "entries": 5, "size": 4}
    out = tmp_path / "out" / "target"
    assert (out / "sub" / "run.sh").stat().st_mode & 0o7111 == 0o111
    assert (out / "sub" / "latest").readlink() == Path("../sub/run.sh")
    assert (out / "same").read_bytes() == b"#!"
    assert (out / "empty").is_dir()


def test_a_second_time_changes_nothing_and_leaves_other_files_alone(
    extract: Callable[..., object], tmp_path: Path
) -> None:
    archive = packed(tmp_path / "a.tar", entry("d/x", b"1", mode=0o755), link("l", "./d/x"))
    extract(archive)
    out = tmp_path / "out" / "target"
    (out / "other").write_text("mine")
    contents = [out / "d" / "x", out / "l", out / "other"]
    before = [(each.lstat().st_ino, each.lstat().st_mtime_ns, each.lstat().st_ctime_ns) for each in contents]
    extract(archive)
    after = [(each.lstat().st_ino, each.lstat().st_mtime_ns, each.lstat().st_ctime_ns) for each in contents]
    assert after == before


@pytest.mark.parametrize(
    "hostile",
    [
        [entry("../escaped", b"x")],
        [entry("a/../../escaped", b"x")],
        [entry("/tmp/escaped-by-tasker", b"x")],
        [entry("//etc/x", b"x")],
        [link("l", "/etc")],
        [link("l", "..")],
        [link("d/l", "../../x")],
        [link("l", "d/../../x")],
        [link("d/up", ".."), link("l", "d/up/../../x")],
        [link("l", "/etc/passwd", tarfile.LNKTYPE)],
        [link("l", "../../x", tarfile.LNKTYPE)],
        [link("s", "x"), link("l", "s", tarfile.LNKTYPE)],
        [link("d", "."), entry("d/x", b"x")],
        [entry("f", b""), entry("f/x", b"x")],
        [entry("x", b"1"), entry("x", b"2")],
        [link("x", "y"), entry("x", b"2")],
        [entry("null", type=tarfile.CHRTYPE)],
        [entry("disk", type=tarfile.BLKTYPE)],
        [entry("pipe", type=tarfile.FIFOTYPE)],
        [entry("odd", type=b"Z")],
        [entry(".tasker-workspace")],
        [entry("d/.tasker-workspace/", type=tarfile.DIRTYPE)],
        [link(".tasker-workspace", "good")],
        [link("d/.tasker-workspace", "good", tarfile.LNKTYPE)],
        [entry("d/.good.0123456789abcdef.tasker-draft", b"x")],
    ],
)
def test_a_hostile_entry_is_refused_and_nothing_is_written(
    hostile: list[tuple[tarfile.TarInfo, bytes]], extract: Callable[..., object], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="the archive is refused"):
        extract(packed(tmp_path / "a.tar", entry("good", b"x"), *hostile))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["sub", "sub/x"])
def test_a_link_that_was_there_before_is_never_written_through(
    place: str, extract: Callable[..., object], tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_text("safe")
    planted = tmp_path / "out" / "target" / place
    planted.parent.mkdir(parents=True)
    planted.symlink_to(outside if place == "sub" else outside / "x")
    with pytest.raises(ValueError, match="in the way"):
        extract(packed(tmp_path / "a.tar", entry("sub/x", b"evil")))
    assert (outside / "x").read_text() == "safe"
    assert os.listdir(outside) == ["x"]


def test_limits_of_size_and_number_are_kept(extract: Callable[..., object], tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.tgz", entry("a", bytes(600)), link("b", "a", tarfile.LNKTYPE))
    with pytest.raises(ValueError, match="more than 1000 bytes; `max_size`"):
        extract(archive, max_size=1000)
    with pytest.raises(ValueError, match="more than 1 entries; `max_entries`"):
        extract(archive, max_entries=1)
    assert not (tmp_path / "out").exists()


def _header_bomb(path: Path) -> None:
    """A name of 2 GiB, in a few megabytes."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 2 * 1024 * MIB
    with gzip.open(path, "wb", 1) as stream:
        stream.write(info.tobuf())
        for _ in range(256):
            stream.write(bytes(MIB))


def _endless_tail(path: Path) -> None:
    with gzip.open(path, "wb", 1) as stream:
        stream.write(entry("x")[0].tobuf())
        for _ in range(64):
            stream.write(bytes(MIB))


def _header_chain(path: Path) -> None:
    header = entry("x", bytes(1), type=tarfile.XHDTYPE)[0].tobuf() + bytes(512)
    path.write_bytes(gzip.compress(header * 900, 1))


def _big_file(path: Path) -> None:
    with gzip.open(path, "wb", 1) as stream:
        stream.write(entry("x", size=10**12)[0].tobuf())
        stream.write(bytes(MIB))


@pytest.mark.parametrize("bomb", [_header_bomb, _endless_tail, _header_chain, _big_file])
def test_a_bomb_is_refused_in_little_memory(
    bomb: Callable[[Path], None], extract: Callable[..., object], tmp_path: Path
) -> None:
    bomb(tmp_path / "a.tgz")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="the archive is refused"):
        extract(tmp_path / "a.tgz")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", [".tar", ".tgz", ".tar.zst"])
def test_an_archive_that_is_cut_off_anywhere_is_refused(
    suffix: str, extract: Callable[..., object], tmp_path: Path
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "a").write_bytes(os.urandom(700))
    (source / "b").write_bytes(os.urandom(700))
    whole = tmp_path / f"whole{suffix}"
    make("archive", tmp_path).run(source, whole)
    content = whole.read_bytes()
    end = 2 * (512 + 1024) if suffix == ".tar" else len(content)  # an uncompressed one goes on with zeros
    cut = tmp_path / f"cut{suffix}"
    for length in range(0, end, 97):
        cut.write_bytes(content[:length])
        with pytest.raises(ValueError, match="the archive is refused"):
            extract(cut)
    assert not (tmp_path / "out").exists()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_archive_is_refused_or_extracted_but_never_crashes_or_escapes(data: st.DataObject) -> None:
    content = bytearray(_sample())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "a.tar").write_bytes(content)
        with suppress(ValueError, OSError):
            make("extract", root).run(root / "a.tar", root / "out" / "target")
        assert set(os.listdir(root)) <= {"a.tar", "out"}


def _sample() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, content in (entry("a", b"1" * 10), entry("n" * 150, b"2"), link("l", "a")):
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()[: 512 * 12]
