"""Which file system a path is on, read from tables of mounts as kernels write them."""

from __future__ import annotations

import pytest

from tasker.mounts import file_system, holds_mount, is_remote, mount_table

TABLE = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 27 0:40 / /srv/conf rw,relatime shared:7 master:1 - nfs4 server:/export rw,vers=4.2
41 40 0:41 / /srv/conf/local rw - tmpfs tmpfs rw
42 27 0:42 / /mnt/with\\040space\\134 rw - fuse.sshfs me@host:/ rw
43 27 0:43 / /twice rw - cifs //host/share rw
44 43 0:44 / /twice rw - overlay overlay rw
not a line of a table
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/etc/conf.d", "ext4"),
        ("/srv/conf", "nfs4"),
        ("/srv/conf/conf.d/x", "nfs4"),
        ("/srv/configuration", "ext4"),
        ("/srv/conf/local/x", "tmpfs"),
        ("/mnt/with space\\/conf.d", "fuse.sshfs"),
        ("/twice/conf.d", "overlay"),
    ],
)
def test_a_path_is_on_what_is_mounted_nearest_and_last(path: str, kind: str) -> None:
    assert file_system(path, TABLE) == kind


@pytest.mark.parametrize("folder", ["/srv", "/srv/conf/local", "/mnt", "/mnt/with space\\"])
def test_a_folder_holds_what_is_mounted_on_it_or_below(folder: str) -> None:
    assert holds_mount(folder, TABLE)


@pytest.mark.parametrize("folder", ["/sr", "/srv/conf/loc", "/srv/conf/local/x", "/mnt/with"])
def test_a_folder_does_not_hold_what_is_mounted_beside_or_above_it(folder: str) -> None:
    assert not holds_mount(folder, TABLE)


def test_without_a_table_nothing_is_known() -> None:
    assert file_system("/", "") == ""


def test_this_machine_has_a_table() -> None:
    assert file_system("/proc", mount_table()) == "proc"


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse", "fuse.sshfs", "9p", "ceph", "virtiofs"])
def test_what_others_write_to_is_remote(kind: str) -> None:
    assert is_remote(kind)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "fuseblk", "nfsd", ""])
def test_what_only_this_machine_writes_to_is_not(kind: str) -> None:
    assert not is_remote(kind)
