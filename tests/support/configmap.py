"""A ConfigMap as the kubelet writes it into a pod's folder, step for step, so that it can be looked at halfway."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path


class ConfigMap:
    """A mounted folder whose visible names are links through `..data`, which one rename turns to the new payload."""

    def __init__(self, folder: Path, *, links_first: bool = False) -> None:
        self.folder = folder
        self.links_first = links_first
        """As in kubelets older than 1.23: new names appear before what they lead to."""
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, payload: Mapping[str, str]) -> None:
        """Bring the folder to this content: text by path."""
        for _ in self.steps(payload):
            pass

    def steps(self, payload: Mapping[str, str]) -> Iterator[str]:
        """The same, a step at a time; the kubelet may be ended after any of them."""
        if payload == self.payload():
            return
        old = self._payload_folder()
        new = Path(tempfile.mkdtemp(prefix=datetime.now(UTC).strftime("..%Y_%m_%d_%H_%M_%S."), dir=self.folder))
        yield "the new folder is there"
        new.chmod(0o755)
        for path, text in payload.items():
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            (new / path).write_text(text)
            yield f"{path} is written"
        draft = self.folder / "..data_tmp"
        draft.unlink(missing_ok=True)
        draft.symlink_to(new.name)
        yield "the draft of the link is there"
        names = {path.partition("/")[0] for path in payload}
        if self.links_first:
            self._add_links(names)
            yield "the links are there"
        draft.rename(self.folder / "..data")
        yield "the link leads to the new folder"
        if not self.links_first:
            self._add_links(names)
            yield "the links are there"
        for link in self._links():
            if link.name not in names:
                link.unlink()
        yield "the links that lead nowhere are gone"
        if old is not None:
            shutil.rmtree(old)
        yield "the old folder is gone"

    def payload(self) -> dict[str, str]:
        """The text by path."""
        data = self._payload_folder()
        files = [path for path in data.rglob("*") if path.is_file()] if data else []
        return {str(path.relative_to(data)): path.read_text() for path in files if data}

    def look_after(self) -> None:
        """What a kubelet does every few seconds, whatever there is to do: the folder gets the mode that it has."""
        self.folder.chmod(self.folder.stat().st_mode & 0o7777)

    def _payload_folder(self) -> Path | None:
        link = self.folder / "..data"
        return self.folder / os.readlink(link) if link.is_symlink() else None  # noqa: PTH115 - a name is wanted

    def _links(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.is_symlink() and not path.name.startswith("..")]

    def _add_links(self, names: set[str]) -> None:
        for name in sorted(names):
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}")
