# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a jail gets of disks: a loop device with the storage of the tests' jails on it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import disks
from ansible_collections.cellblock.jails.tests.integration.support.boxes import make_boxes
from ansible_collections.cellblock.jails.tests.integration.support.calls import actions, module, refused, shell
from ansible_collections.cellblock.jails.tests.integration.support.filesystems import loop_devices
from ansible_collections.cellblock.jails.tests.integration.support.limited import LibOn
from ansible_collections.cellblock.jails.tests.integration.support.loads import busy, only_on_v2

_MIB = 1 << 20
_WRITE = "dd if=/dev/zero of=/srv/{} bs=1M count={} conv=fsync 2>&1"
_SMALL = "i=0; while [ $i -lt {} ]; do dd if=/dev/zero of=/srv/small bs=4k count=1 conv=fsync 2>&1; i=$((i+1)); done"
_READERS = """
for reader in 1 2 3 4; do
    while :; do dd if=/srv/file of=/dev/null bs=1M iflag=direct 2>/dev/null; echo >> /run/rounds; done &
done
wait
"""
"""So many that there is always one that waits for the disk."""


@pytest.fixture
def disk(lib_on: LibOn) -> str:
    """The numbers of the loop device that the storage is on."""
    lib_on("ext4")
    (found,) = disks.below(layout.LIB)
    return found


@pytest.fixture
def writer(disk: str, box: str) -> str:
    """A jail whose storage is there."""
    return box


def _device(numbers: str) -> str:
    name = os.path.basename(os.path.realpath(f"/sys/dev/block/{numbers}"))
    assert name in loop_devices()
    return f"/dev/{name}"


def _seconds(name: str, script: str) -> float:
    began = time.monotonic()
    shell(name, script)
    return time.monotonic() - began


def test_a_rate_holds_however_the_disk_is_named(disk: str, writer: str) -> None:
    """By its device, its numbers, a mount point, and as the disk of the storage: what is written takes its time, and
    without a limit far less. Each way of saying takes the place of the other."""
    device = _device(disk)
    free = _seconds(writer, _WRITE.format("file", 8))
    for named in (device, disk, layout.LIB):
        wish: dict[str, Any] = {"io_devices": [{"device": named, "wbps": "2M"}]}
        result = module("jail_limits", name=writer, **wish)
        assert actions(result, writer)[0][2] == [{"device": named, "wbps": "2M"}]
        assert not module("jail_limits", name=writer, **wish)["changed"]
        assert live.group_of(writer).disks() == {disk: {"wbps": 2 * _MIB}}
    held = _seconds(writer, _WRITE.format("file", 8))
    assert held > max(3, free + 1)
    module("jail_limits", name=writer, io_devices=[], io_max="2M")
    assert live.group_of(writer).disks() == {disk: {"rbps": 2 * _MIB, "wbps": 2 * _MIB}}
    assert _seconds(writer, _WRITE.format("other", 8)) > max(3, free + 1)
    module("jail_limits", name=writer, io_max="unlimited")
    assert not live.group_of(writer).disks()
    assert _seconds(writer, _WRITE.format("file", 8)) < held - 1


def test_operations_are_counted_too(writer: str) -> None:
    """Twenty small writes that are waited for take seconds with ten operations in each second."""
    module("jail_limits", name=writer, io_operations_max="unlimited")
    free = _seconds(writer, _SMALL.format(20))
    module("jail_limits", name=writer, io_devices=[{"device": layout.LIB, "wiops": "10"}])
    held = _seconds(writer, _SMALL.format(20))
    assert held > free + 1


def test_reading_has_a_rate_of_its_own(writer: str, disk: str) -> None:
    """Reading past the cache is held where writing is not."""
    shell(writer, _WRITE.format("file", 8))
    read = "dd if=/srv/file of=/dev/null bs=1M iflag=direct 2>&1"
    free = _seconds(writer, read)
    module("jail_limits", name=writer, io_devices=[{"device": disk, "rbps": "4M"}])
    assert _seconds(writer, read) > max(1.2, free)
    writing = _seconds(writer, _WRITE.format("other", 8))
    module("jail_limits", name=writer, io_devices=[{"device": disk, "wbps": "2M"}])
    assert _seconds(writer, _WRITE.format("other", 8)) > writing + 1


def test_what_is_said_of_one_disk_counts_before_the_short_option(writer: str, disk: str) -> None:
    """Whatever is said first; and when nothing is said of it any more, the short one has it again."""
    own = [{"device": disk, "rbps": "1M", "wiops": "50"}]
    module("jail_limits", name=writer, io_max="20M", io_operations_max="1000")
    short = {"rbps": 20 * _MIB, "wbps": 20 * _MIB, "riops": 1000, "wiops": 1000}
    group = live.group_of(writer)
    assert group.disks() == {disk: short}
    module("jail_limits", name=writer, io_devices=own)
    assert group.disks() == {disk: {"rbps": _MIB, "wiops": 50}}
    assert not module("jail_limits", name=writer, io_max="20M", io_devices=own)["changed"]
    module("jail_limits", name=writer, io_max="10M")
    assert group.disks() == {disk: {"rbps": _MIB, "wiops": 50}}
    module("jail_state", name=[writer], state="restarted")
    assert group.disks() == {disk: {"rbps": _MIB, "wiops": 50}}
    module("jail_limits", name=writer, io_devices=[])
    assert group.disks() == {disk: {**short, "rbps": 10 * _MIB, "wbps": 10 * _MIB}}


def test_a_disk_of_somebody_else(box: str) -> None:
    """A limit that nobody recorded is found and taken away; what is no disk is refused."""
    whole = disks.below("/") or pytest.skip("the root file system is on no disk that could be limited")
    group = live.group_of(box)
    group.limit_disk(whole[0], {"riops": 1234})
    if whole[0] not in disks.below(layout.LIB):
        result = module("jail_limits", name=box, io_devices=[])
        assert actions(result, box) == [("io_devices", [{"device": whole[0], "riops": "1234"}], [], "live")]
        assert not group.disks()
    for device in ("/nowhere", "99999:1", "/dev/null", "/proc"):
        assert "no block device" in refused("jail_limits", name=box, io_devices=[{"device": device}])
    twice = [{"device": whole[0]}, {"device": "/var/tmp"}]
    if disks.named("/var/tmp") == whole:
        assert "and so is" in refused("jail_limits", name=box, io_devices=twice)


def test_weights_share_a_disk(disk: str, names: Callable[[int], list[str]]) -> None:
    """Where the host shares it out by group: of two jails that read all the time, the one with far more weight
    reads more; with the same weight they read about the same."""
    _with_scheduler(disk, "bfq")
    two = names(2)
    make_boxes(two)
    if live.group_of(two[0]).missing("io_weight"):
        pytest.skip(str(live.group_of(two[0]).missing("io_weight")))
    for name in two:
        shell(name, _WRITE.format("file", 64))
    with busy(two, _READERS):
        one, other = _rounds(two, 4.0)
        module("jail_limits", name=two[0], io_weight="1000")
        module("jail_limits", name=two[1], io_weight="1")
        preferred, held = _rounds(two, 4.0)
    assert 0.3 < one / other < 3
    assert preferred / max(held, 1) > 1.4 * one / other


def _with_scheduler(disk: str, name: str) -> None:
    path = f"/sys/dev/block/{disk}/queue/scheduler"
    with open(path, encoding="ascii") as file:
        if name not in file.read().replace("[", "").replace("]", "").split():
            pytest.skip(f"this kernel has no scheduler {name} for disks")
    with open(path, "w", encoding="ascii") as file:
        file.write(name)


def _rounds(names: list[str], seconds: float) -> list[int]:
    before = [_count(name) for name in names]
    time.sleep(seconds)
    return [_count(name) - number for name, number in zip(names, before)]


def _count(name: str) -> int:
    return int(shell(name, "wc -l < /run/rounds 2>/dev/null || echo 0"))


def test_latency_is_set(writer: str, disk: str) -> None:
    """A latency for the disks of the storage, taken back again."""
    only_on_v2("io_latency")
    lacks = live.group_of(writer).lacks_latency()
    if lacks:
        pytest.skip(lacks)
    module("jail_limits", name=writer, io_latency="10ms")
    assert live.group_of(writer).disks() == {disk: {"latency": 10_000}}
    assert not module("jail_limits", name=writer, io_latency="10ms")["changed"]
    module("jail_limits", name=writer, io_latency="unlimited")
    assert not live.group_of(writer).disks()
