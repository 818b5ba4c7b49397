"""How many runs there is room for, under the limits of control groups as containers have them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command import write

from tasker.allowance import Allowance, allowance, limited

MIB = 1 << 20
UNLIMITED = str((1 << 63) - 4096)


@pytest.mark.parametrize(
    ("cores", "memory", "runs"),
    [
        (1, None, 4),
        (16, None, 64),
        (2, 64 << 30, 8),
        (2, 1024 * MIB, 8),
        (2, 512 * MIB, 6),
        (64, 256 * MIB, 2),
        (2, 128 * MIB, 1),
        (2, 16 * MIB, 1),
    ],
)
def test_runs_are_four_a_core_as_far_as_there_is_memory_and_at_least_one(
    cores: int, memory: int | None, runs: int
) -> None:
    assert Allowance(cores, memory).runs == runs


@pytest.mark.parametrize(
    ("groups", "files", "told"),
    [
        pytest.param("", {}, (8, None), id="no control groups"),
        pytest.param("0::/", {"memory.max": "max", "cpu.max": "max 100000"}, (8, None), id="2, no limit"),
        pytest.param("0::/", {"memory.max": "268435456", "cpu.max": "150000 100000"}, (2, 256 * MIB), id="2, limited"),
        pytest.param(
            "0::/pod/tasker",
            {"pod/memory.max": "268435456", "pod/tasker/memory.max": "max", "pod/cpu.max": "50000 100000"},
            (1, 256 * MIB),
            id="2, the limit of a group above",
        ),
        pytest.param("0::/../beside", {"memory.max": "268435456"}, (8, 256 * MIB), id="2, seen from elsewhere"),
        pytest.param(
            "5:cpu,cpuacct:/\n4:memory:/\n0::/",
            {
                "memory/memory.limit_in_bytes": UNLIMITED,
                "cpu/cpu.cfs_quota_us": "-1",
                "cpu/cpu.cfs_period_us": "100000",
            },
            (8, int(UNLIMITED)),
            id="1, no limit",
        ),
        pytest.param(
            "5:cpu,cpuacct:/host/container\n4:memory:/host/container",
            {
                "memory/memory.limit_in_bytes": "268435456",
                "cpu/cpu.cfs_quota_us": "250000",
                "cpu/cpu.cfs_period_us": "100000",
            },
            (3, 256 * MIB),
            id="1, in a container, told by its place on the host",
        ),
        pytest.param("0::/", {"memory.max": "rubbish", "cpu.max": ""}, (8, None), id="what nobody understands"),
    ],
)
def test_limits_are_read_as_the_kernel_tells_them(
    groups: str, files: dict[str, str], told: tuple[int, int | None], tmp_path: Path
) -> None:
    mount = tmp_path / "fs" / "cgroup"
    for name, text in files.items():
        write(mount / name, f"{text}\n")
    found = limited(8, groups, mount)
    assert (found.cores, found.memory) == told


def test_this_machine_has_room_for_a_run() -> None:
    assert allowance().runs >= 1
