"""Tar archives as streams: which compression a name stands for, and how each is written and read.

Not to be confused with the tasks `archive` and `extract`, which say what goes into an archive and what may come out.
"""

from __future__ import annotations

import gzip
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

Compression = Literal["none", "gzip", "zstd"]

SUFFIXES: dict[str, Compression] = {
    ".tar": "none",
    ".tar.gz": "gzip",
    ".tgz": "gzip",
    ".tar.zst": "zstd",
    ".tzst": "zstd",
}
"""How the name of an archive ends, and the compression that it stands for."""

_GZIP_LEVEL = 6
_ZSTD_LEVEL = 9


def compression_of(path: Path) -> Compression:
    """The compression that an archive's name asks for; raises `ValueError` for a name that is none of `SUFFIXES`."""
    for suffix, compression in SUFFIXES.items():
        if path.name.endswith(suffix):
            return compression
    message = f"the name of an archive ends with one of {', '.join(SUFFIXES)}; this one does not: {path}"
    raise ValueError(message)


@contextmanager
def compressing(path: Path, compression: Compression) -> Iterator[BinaryIO]:
    """Write a file through a compression, which puts no name and no time into it."""
    with path.open("wb") as raw:
        if compression == "none":
            yield raw
        elif compression == "gzip":
            with gzip.GzipFile(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=raw, mtime=0) as stream:
                yield cast("BinaryIO", stream)
        else:
            compressor = _zstandard().ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True)
            with compressor.stream_writer(raw, closefd=False) as stream:
                yield stream


@contextmanager
def decompressing(path: Path, compression: Compression) -> Iterator[BinaryIO]:
    """Read a file through a compression."""
    with path.open("rb") as raw:
        if compression == "none":
            yield raw
        elif compression == "gzip":
            with gzip.GzipFile(fileobj=raw, mode="rb") as stream:
                yield cast("BinaryIO", stream)
        else:
            with _zstandard().ZstdDecompressor().stream_reader(raw, closefd=False) as stream:
                yield stream


def broken_stream_errors() -> tuple[type[Exception], ...]:
    """What a compressed stream that is cut off or damaged raises as it is read."""
    import zlib

    try:
        return (EOFError, zlib.error, gzip.BadGzipFile, _zstandard().ZstdError)
    except ModuleNotFoundError:
        return (EOFError, zlib.error, gzip.BadGzipFile)


def _zstandard() -> ModuleType:
    try:
        import zstandard
    except ModuleNotFoundError:
        message = "a .tar.zst archive needs the package zstandard: pip install 'zstandard>=0.23', or choose .tar.gz"
        raise ModuleNotFoundError(message) from None
    return zstandard
