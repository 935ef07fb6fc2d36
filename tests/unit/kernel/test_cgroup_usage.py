# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What control groups' files say of use, of version 2 and version 1."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import pressure
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.cgroup import hierarchies, usage
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.cgroup.tree import Tree
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.cgroup.usage import Usage
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.pressure import Pressure, Stall

_PSI = "some avg10=1.50 avg60=0.20 avg300=0.01 total=123456\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=7\n"
_FILES = {
    2: {
        "cpu.stat": "usage_usec 12\nuser_usec 5\nsystem_usec 7\nnr_periods 9\nnr_throttled 4\nthrottled_usec 5000\n",
        "memory.current": "4096\n",
        "memory.max": "max\n",
        "memory.swap.current": "8192\n",
        "memory.events": "low 0\nhigh 2\nmax 3\noom 1\noom_kill 5\noom_group_kill 0\n",
        "pids.current": "3\n",
        "pids.max": "100\n",
        "io.stat": "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=5 dios=6\n253:0 rbytes=1 wbytes=2 rios=3 wios=4\n"
        "8:16 \n",
        "cpu.pressure": "some avg10=3.00 avg60=0.00 avg300=0.00 total=9\n",
        "memory.pressure": _PSI,
        "io.pressure": _PSI,
    },
    1: {
        "cpuacct/cpuacct.usage": "12000\n",
        "cpu/cpu.stat": "nr_periods 9\nnr_throttled 4\nthrottled_time 5000000\nnr_bursts 0\nburst_time 0\n",
        "memory/memory.usage_in_bytes": "4096\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "memory/memory.memsw.usage_in_bytes": "12288\n",
        "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n",
        "pids/pids.current": "3\n",
        "pids/pids.max": "100\n",
        "blkio/blkio.throttle.io_service_bytes_recursive": "8:0 Read 10\n8:0 Write 20\n8:0 Sync 9\n8:0 Total 30\n"
        "253:0 Read 1\n253:0 Write 2\n253:0 Total 3\nTotal 33\n",
        "blkio/blkio.throttle.io_serviced_recursive": "8:0 Read 1\n8:0 Write 2\n253:0 Read 3\n253:0 Write 4\n"
        "Total 10\n",
    },
}
_STALLS = {
    "cpu": Pressure(Stall(3.0, 9), None),
    **dict.fromkeys(("memory", "io"), Pressure(Stall(1.5, 123456), Stall(0.5, 7))),
}


def _tree(root: Path, version: int, without: tuple[str, ...] = ()) -> Tree:
    roots = {
        controller: str(root if version == 2 else root / controller)
        for controller in hierarchies.CONTROLLERS
        if controller not in without
    }
    for directory in roots.values():
        os.makedirs(os.path.join(directory, "x"), exist_ok=True)
    return Tree(version, roots)


@pytest.mark.parametrize("version", [2, 1])
def test_both_versions_tell_the_same(tmp_path: Path, version: int) -> None:
    """The same use by the words of each; pressure is version 2's alone."""
    tree = _tree(tmp_path, version)
    for file, text in _FILES[version].items():
        folder, name = os.path.split(file)
        (tmp_path / folder / "x" / name).write_text(text, encoding="ascii")
    assert usage.of(tree.group("", "x")) == Usage(
        cpu=12,
        throttled=(5000, 4),
        memory=4096,
        memory_max=None,
        swap=8192,
        oom_kills=5,
        tasks=3,
        tasks_max=100,
        disks={"read_bytes": 11, "written_bytes": 22, "reads": 4, "writes": 6},
        pressure=_STALLS if version == 2 else None,
    )


@pytest.mark.parametrize("version", [2, 1])
def test_what_a_host_does_not_count_is_nothing(tmp_path: Path, version: int) -> None:
    """Neither without the files nor without the controllers; nothing is made up, and nothing raised."""
    nothing = Usage(*[None] * len(Usage._fields))
    assert usage.of(_tree(tmp_path, version).group("", "x")) == nothing
    assert usage.of(Tree(version, {}).group("", "x")) == nothing


def test_pressure_without_full() -> None:
    """Kernels before 5.13 had none of CPU."""
    assert pressure.parse(_PSI.splitlines()[0]) == Pressure(Stall(1.5, 123456), None)
