# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a disk: a jail fills or saturates the disk that all jails are on, and its neighbour, a server whose answers
wait for that disk, goes on answering."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import btrfs, paths
from ansible_collections.cellblock.jails.tests.breakout.support import cells
from ansible_collections.cellblock.jails.tests.breakout.support.cells import Cell
from ansible_collections.cellblock.jails.tests.breakout.support.known import expect_stopped, not_stopped
from ansible_collections.cellblock.jails.tests.breakout.support.meter import PORT, Latency, Meter
from ansible_collections.cellblock.jails.tests.breakout.support.programs import Programs
from ansible_collections.cellblock.jails.tests.breakout.support.table import Record
from ansible_collections.cellblock.jails.tests.integration.support import filesystems
from ansible_collections.cellblock.jails.tests.integration.support.boxes import fresh_name
from ansible_collections.cellblock.jails.tests.integration.support.calls import attempt, module

Disk = Callable[..., tuple[Cell, Cell]]

_SECONDS = 3
_POURERS = 8
_RATE = 4  # MiB/s


@pytest.fixture
def disk(compiled: Programs) -> Iterator[Disk]:
    """A function that puts the storage of jails on a disk of its own, and on it a jail and its neighbour, a server."""
    names = [fresh_name(), fresh_name()]
    with contextlib.ExitStack() as stack:

        def made(kind: str, mib: int, rootfs: dict[str, Any], servers: dict[str, Any]) -> tuple[Cell, Cell]:
            try:
                stack.enter_context(filesystems.mounted(kind, layout.STORAGE, mib))
            except filesystems.UnsupportedError as error:
                pytest.skip(str(error))
            stack.callback(attempt, "jail_state", name=names, state="absent")
            if kind == "btrfs":
                _have_quotas()
            serving = [compiled.server, str(PORT), "on the disk"]
            server = cells.made(names[0], compiled, rootfs=servers, command=serving)
            return cells.made(names[1], compiled, rootfs=rootfs), server

        yield made


def _have_quotas() -> None:
    if not btrfs.knows_simple_quotas():
        pytest.skip("this kernel has no simple quotas of btrfs")
    with paths.opened(os.open(layout.STORAGE, os.O_RDONLY | os.O_DIRECTORY)) as directory:
        btrfs.enable_simple_quotas(directory)


def _answering(server: Cell, record: Record, what: str) -> AbstractContextManager[list[Latency]]:
    """How the neighbour answers during a ``with`` block, noted for the table."""
    return Meter(server.name).noting(record, lambda found: f"{what}: the neighbour answers in {found}")


def _has_room(path: str) -> bool:
    """Whether the host's root can write another mebibyte there."""
    with open(os.path.join(path, fresh_name()), "wb", 0) as file:
        try:
            return file.write(bytes(1 << 20)) == 1 << 20
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return False


def _gets(cell: Cell) -> str:
    """What ends it when a jail takes some MiB of the disk."""
    with cell.taking("bytes", 16, f"/root/{fresh_name()}") as taken:
        return taken.end


@pytest.mark.row(49)
@pytest.mark.parametrize(
    ("filesystem", "mib", "kind"),
    [("btrfs", 1024, "overlay"), ("ext4-prjquota", 256, "overlay"), ("ext4", 256, "image")],
)
def test_full_by_default(disk: Disk, filesystem: str, mib: int, kind: str, record_property: Record) -> None:
    """A jail of whose size nobody said anything gets half of what was free when it was made, where its storage can be
    held to that, and its neighbour goes on. One of which it was said that it may have all gets all, and the neighbour
    nothing. (An image is always bounded; the control is the one that is none.)"""
    jail, server = disk(filesystem, mib, {"storage": kind}, {"storage": kind})
    with _answering(server, record_property, f"disk of {filesystem}, storage {kind}") as found:
        with jail.taking("bytes", 100000, "/root/file") as taken:
            assert taken.end in ("ENOSPC", "EDQUOT")
            assert mib // 8 < taken.number <= mib // 2
            assert _gets(server) == "all"
        time.sleep(1)
    assert found[0].failures == 0
    if kind != "image":
        module("jail_rootfs", name=jail.name, size="unlimited", inodes="unlimited", **jail.rootfs)
        with (
            _answering(server, record_property, "the same without a limit"),
            jail.taking("bytes", 100000, "/root/file") as taken,
        ):
            assert taken.number > mib // 2
            assert _gets(server) == "ENOSPC"


@pytest.mark.row(49)
def test_full_where_nothing_can_bound_it(disk: Disk) -> None:
    """On ext4 without project quotas a jail that is no image gets all that there is but what the file system keeps for
    the host's root. Where it keeps nothing the host gets nothing either."""
    jail, _server = disk("ext4-reserve", 128, {}, {})
    with jail.taking("bytes", 100000, "/root/file") as taken:
        assert taken.end == "ENOSPC"
        assert _has_room(layout.STORAGE)
    subprocess.run(["tune2fs", "-m", "0", f"/dev/{_device()}"], check=True, capture_output=True)
    with jail.taking("bytes", 100000, "/root/more"):
        assert not _has_room(layout.STORAGE)


@pytest.mark.row(49)
@not_stopped(
    "the disk that a default jail is on, where the file system holds no quotas",
    "nothing bounds what it writes there, to its neighbours' harm; storage=image does, and ext4 and xfs with prjquota",
)
def test_full_where_nothing_can_bound_it_and_a_neighbour(disk: Disk) -> None:
    """The host's root may be kept something there (above); a neighbour is not."""
    jail, server = disk("ext4", 128, {}, {})
    with jail.taking("bytes", 100000, "/root/file") as taken:
        assert taken.end == "ENOSPC"
        expect_stopped(_gets(server) == "all", "the neighbour gets nothing")


def _device() -> str:
    """The name of the device that the storage is on."""
    number = os.stat(layout.STORAGE).st_dev
    return os.path.basename(os.path.realpath(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}"))


@contextlib.contextmanager
def _pouring(jail: Cell) -> Iterator[list[int]]:
    """Have many processes of a jail write past all caches; the MiB/s of each, at the end of a ``with`` block."""
    pour = f"{jail.programs.attack} pour {_SECONDS}"
    script = f"for i in $(seq {_POURERS}); do {pour} /root/file$i & done; wait"
    command = [layout.COMMAND, "exec", jail.name, "--", "sh", "-c", script]
    rates: list[int] = []
    attack = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    yield rates
    rates.extend(int(word) for word in attack.communicate(timeout=60)[0].split())


def _saturated(jail: Cell, server: Cell, record: Record, what: str) -> tuple[Latency, int]:
    """How the neighbour answers meanwhile, and how much the jail writes in each second."""
    with _pouring(jail) as rates, _answering(server, record, what) as found:
        time.sleep(_SECONDS)
    record("measured", f"{what}: the jail writes {sum(rates)} MiB/s")
    return found[0], sum(rates)


@pytest.mark.row(54)
@pytest.mark.parametrize("kind", ["overlay", "image"])
def test_saturation(disk: Disk, kind: str, record_property: Record) -> None:
    """A jail that writes past all caches slows its neighbour down, which answers all the same. With a limit of bytes or
    of operations, set while it runs, it is held to that, and the neighbour answers as in peace or nearly so."""
    jail, server = disk("ext4", 2048, {"storage": kind}, {})
    with _answering(server, record_property, "in peace") as peace:
        time.sleep(_SECONDS)
    free, rate = _saturated(jail, server, record_property, "no limit, as by default")
    assert free.failures == 0
    for option, value in (("io_max", f"{_RATE}M"), ("io_operations_max", str(_RATE))):
        module("jail_limits", jails=[{"name": jail.name, option: value}])
        held, held_rate = _saturated(jail, server, record_property, f"{option} {value}")
        assert held_rate <= _RATE * 3 // 2
        assert held_rate < rate // 10
        assert held.failures == 0
        assert held.slow < max(5 * peace[0].slow, 250)
        module("jail_limits", jails=[{"name": jail.name, option: "unlimited"}])
    _again, rate_again = _saturated(jail, server, record_property, "no limit any more")
    assert rate_again > 10 * _RATE


@pytest.fixture
def small_disk(compiled: Programs) -> Iterator[tuple[Cell, Cell, Cell]]:
    """Three jails on a disk of 96 MiB that is all that jails have: with limits, without, and the neighbour of both."""
    names = [fresh_name() for _each in range(3)]
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(filesystems.mounted("ext4", layout.STORAGE, 96))
        except filesystems.UnsupportedError as error:
            pytest.skip(str(error))
        stack.callback(attempt, "jail_state", name=names, state="absent")
        # Of all kinds of storage the one whose limits hold on every file system.
        held = cells.made(names[0], compiled, rootfs={"storage": "image", "size": "16M", "inodes": "500"})
        yield held, cells.made(names[1], compiled), cells.made(names[2], compiled)


@pytest.mark.row(49)
@pytest.mark.parametrize(("kind", "path"), [("bytes", "/root/file"), ("inodes", "/root")])
def test_disk(small_disk: tuple[Cell, Cell, Cell], kind: str, path: str) -> None:
    """A jail with ``size`` and ``inodes`` gets so much of the disk, and its neighbour goes on writing. Without them it
    gets all that there is."""
    held, free, neighbour = small_disk
    with held.taking(kind, 100000, path) as taken:
        assert taken.end == "ENOSPC"
        assert _writes(neighbour)
    with free.taking(kind, 100000, path) as taken:
        assert taken.end == "ENOSPC"
        assert not _writes(neighbour)


def _writes(cell: Cell) -> bool:
    """Whether a jail has room for another file with something in it."""
    with cell.taking("bytes", 1, f"/root/{fresh_name()}") as taken:
        return taken.end == "all"
