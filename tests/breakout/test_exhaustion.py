# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking all there is: a jail that does so gets its share, and its neighbour, a server, goes on answering.

Every attack is bounded in amount and time, also where it is not stopped: a test must not harm its machine.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import ceiling, console, limits, live, policy
from ansible_collections.cellblock.jails.tests.breakout.support.cells import Cell, taking
from ansible_collections.cellblock.jails.tests.integration.support.calls import inside, jail, module, shell

_SECONDS = 1.5
_MEBIBYTE = 1 << 20
_DEFAULTS: dict[str, Any] = {
    limit.name: limit.show(limit.default) for limit in limits.LIMITS if limit.name in ("memory_max", "cpus", "pids_max")
}
_TICKS = "while :; do echo tick; sleep 0.1; done"


@contextlib.contextmanager
def _limits(cell: Cell, **limits: Any) -> Iterator[None]:
    """Limits of a jail for a ``with`` block; it is as new afterwards."""
    module("jail_limits", name=cell.name, **limits)
    try:
        yield
    finally:
        module("jail_state", name=[cell.name], state="stopped")
        module("jail_limits", name=cell.name, **_DEFAULTS)
        module("jail_state", name=[cell.name], state="started")


@pytest.mark.row(47)
def test_fork_bomb(cell: Cell, server: Cell, during: None) -> None:
    """Processes that do nothing but fork come to the limit and not beyond; it is one of 4096 by default (see
    ``test_limits_effect.py``), and a small one here."""
    with _limits(cell, pids_max="64"), cell.taking("processes", 1000, "spin") as taken:
        assert taken.number < 64
        assert taken.end == "EAGAIN"
        time.sleep(_SECONDS)
        assert live.group_of(cell.name).get("pids_used") in range(60, 65)


@pytest.mark.row(47)
def test_the_default_bounds_processes(cell: Cell, during: None) -> None:
    """Of a jail for which nobody set a limit, too; with the limit taken away there are more."""
    with cell.taking("processes", 5000) as taken:
        assert 4000 < taken.number < 4096
    with _limits(cell, pids_max="unlimited"), cell.taking("processes", 4200) as taken:
        assert taken.number == 4200


@pytest.mark.row(48)
def test_memory(cell: Cell, during: None) -> None:
    """With ``memory_max`` a jail takes so much and then is killed for it, again and again; without it gets all."""
    with _limits(cell, memory_max="64M"):
        for _time in range(3):
            with cell.taking("memory", 256) as taken:
                assert taken.end == "killed"
            assert (live.group_of(cell.name).get("memory_used") or 0) <= 64 * _MEBIBYTE
    with cell.taking("memory", 256) as taken:
        assert taken.number == 256


@pytest.mark.row(48)
def test_memory_of_sockets(cell: Cell, during: None) -> None:
    """What is sent and not read counts as memory of the jail's; without ``memory_max`` there is no such bound."""

    def held(limit: str) -> int:
        with _limits(cell, memory_max=limit):
            before = _socket_bytes()
            with cell.taking("connections", 25):
                return _socket_bytes() - before

    assert held("64M") <= 80 * _MEBIBYTE
    assert held("unlimited") > 160 * _MEBIBYTE


def _socket_bytes() -> int:
    """What TCP holds on the whole machine."""
    lines = Path("/proc/net/sockstat").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("TCP:")).split()[-1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.row(48)
def test_memory_by_default(cell: Cell) -> None:
    """A jail of which nobody said anything may have half of what all jails may have together, which is less than the
    host has (``test_together.py``); and that is held as any other limit is. Without it there is no such bound."""
    group = live.group_of(cell.name)
    cell.restart()
    assert group.get("memory_max") == limits.DEFAULT_MEMORY
    assert ceiling.default_memory() >= 2 * limits.DEFAULT_MEMORY
    assert os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") > ceiling.default_memory()
    with _limits(cell, memory_max="unlimited"):
        assert group.get("memory_max") is None


@pytest.mark.row(48)
@pytest.mark.parametrize(
    ("place", "limits"),
    [("/dev", policy.DEV_LIMITS), ("/dev/shm", policy.SHM_LIMITS), ("/run", policy.RUN_LIMITS)],
    ids=["dev", "shm", "run"],
)
def test_tmpfs(cell: Cell, place: str, limits: dict[str, str], tmp_path: Path) -> None:
    """Each tmpfs that a jail can write to is bounded in bytes and in files; one without bounds is not."""
    with cell.taking("bytes", 100, f"{place}/file") as taken:
        assert taken.end == "ENOSPC"
        assert taken.number <= int(limits["size"]) >> 20
    inside(cell.name, "rm", f"{place}/file")
    with cell.taking("inodes", 20000, place) as taken:
        assert taken.end == "ENOSPC"
        assert taken.number < int(limits["nr_inodes"])
    cell.restart()
    on_tmpfs = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(tmp_path)]
    with taking([*on_tmpfs, cell.programs.attack], "inodes", 20000, str(tmp_path)) as taken:
        assert taken.end == "all"


@pytest.mark.row(51)
@pytest.mark.parametrize(("kind", "most"), [("inotify", 1000), ("timers", 150000), ("queues", 300), ("locked", 1000)])
def test_what_is_counted_by_user(cell: Cell, server: Cell, kind: str, most: int, during: None) -> None:
    """A jail's users are nobody else's: when they have all inotify instances, pending signals, message queues, or
    memory that is not swapped, that a user may have, neighbour and host get theirs."""
    with cell.taking(kind, most) as taken:
        assert taken.end in ("EMFILE", "EAGAIN", "ENOMEM")
        with server.taking(kind, 5) as neighbours, taking([cell.programs.attack], kind, 5) as hosts:
            assert neighbours.end == hosts.end == "all"


@pytest.mark.row(51)
def test_what_is_counted_by_user_where_root_makes_the_namespace(cell: Cell) -> None:
    """The control: a user namespace made by the host's root has it all from the host's root."""
    command = ["unshare", "--user", "--map-root-user", "--", cell.programs.attack]
    with taking(command, "inotify", 1000) as taken:
        assert taken.end == "EMFILE"
        with taking([cell.programs.attack], "inotify", 1) as hosts:
            assert hosts == (0, "EMFILE")


@pytest.mark.row(51)
def test_keys(cell: Cell) -> None:
    """Keys are not there; for others they are, by number."""
    with cell.taking("keys", 10) as taken:
        assert taken == (0, "EPERM")
    with taking([cell.programs.attack], "keys", 10) as taken:
        assert taken.end == "all"


@pytest.mark.row(52)
def test_terminals(cell: Cell, server: Cell) -> None:
    """A jail has so many, and when it has them all the neighbour and the host get others. The host has no such bound
    for its own."""
    with cell.taking("terminals", 5000) as taken:
        assert taken == (policy.PTYS_MAX, "ENOSPC")
        with server.taking("terminals", 5) as neighbours:
            assert neighbours.end == "all"
        master, slave = os.openpty()
        os.close(master)
        os.close(slave)
    with taking([cell.programs.attack], "terminals", policy.PTYS_MAX + 1) as taken:
        assert taken.end == "all"


@pytest.fixture
def flooding(cell: Cell) -> Iterator[Path]:
    """The jail's init prints far more than it may, by making the file longer and by writing, and then goes on printing.
    Gives the file that it prints to."""
    flood = f"{cell.programs.attack} lengthen {2 * policy.CONSOLE_BYTES}; dd if=/dev/zero bs=64k count=2000"
    cell.restart(command=["sh", "-c", f"{flood} 2>/dev/null; echo over > /root/flooded; {_TICKS}"])
    yield Path(layout.live_console(cell.name))
    cell.restart(command=["sleep", "100000"])
    for path in (layout.console(cell.name), f"{layout.console(cell.name)}.1"):
        Path(path).unlink(missing_ok=True)


@pytest.mark.row(53)
def test_log(cell: Cell, tmp_path: Path, during: None, flooding: Path) -> None:
    """A jail cannot fill the host's disk by what it prints, nor by making the file longer that it prints to; nor does
    it wait for anybody. When somebody has looked, there is room again. The same into a plain file goes through."""
    with open(tmp_path / "plain", "wb") as plain:
        subprocess.run([cell.programs.attack, "lengthen", str(2 * policy.CONSOLE_BYTES)], stdout=plain, check=True)
    assert (tmp_path / "plain").stat().st_blocks * 512 == 2 * policy.CONSOLE_BYTES
    shell(cell.name, "i=0; until [ -e /root/flooded ] || [ $i = 400 ]; do sleep 0.05; i=$((i+1)); done")
    assert inside(cell.name, "cat", "/root/flooded") == "over\n"
    assert policy.CONSOLE_BYTES * 9 // 10 < flooding.stat().st_blocks * 512 <= policy.CONSOLE_BYTES
    assert len(jail("log", cell.name).stdout) == console.READ_BYTES
    assert flooding.stat().st_blocks * 512 < _MEBIBYTE
    time.sleep(0.5)
    assert jail("log", cell.name).stdout.endswith(b"tick\n")
    module("jail_state", name=[cell.name], state="stopped")
    assert not flooding.exists()
    assert jail("log", cell.name).stdout.endswith(b"tick\n")
    kept = [Path(layout.console(cell.name)), Path(f"{layout.console(cell.name)}.1")]
    assert sum(path.stat().st_size for path in kept if path.exists()) <= 2 * console.READ_BYTES


@pytest.mark.row(53)
def test_log_of_a_small_jail(cell: Cell, flooding: Path) -> None:
    """What is printed is memory of the jail's, and no more than an eighth of it: no jail dies of what it prints."""
    flooding_command = ["sh", "-c", "dd if=/dev/zero bs=64k count=2000 2>/dev/null; echo over >&2; exec sleep 100000"]
    module("jail_limits", name=cell.name, memory_max="32M")
    cell.restart(command=flooding_command)
    deadline = time.monotonic() + 10
    while flooding.stat().st_size < 4 * _MEBIBYTE and time.monotonic() < deadline:
        time.sleep(0.05)
    assert flooding.stat().st_blocks * 512 == 4 * _MEBIBYTE
    assert live.find(cell.name)
    module("jail_limits", name=cell.name, **_DEFAULTS)


@pytest.mark.row(56)
def test_descriptors(cell: Cell, during: None) -> None:
    """A process has so many, and all of them are memory of the jail's; the host's table is far from full."""
    hard = int(inside(cell.name, "sh", "-c", "ulimit -H -n"))
    allowed = Path("/proc/sys/fs/file-nr").read_text(encoding="ascii").split()
    with cell.taking("descriptors", hard + 1) as taken:
        assert taken.number <= hard
        assert taken.end == "EMFILE"
    each = min(hard - 10, 19000)
    crowd = f"for i in 1 2 3 4 5 6 7 8 9 10; do {cell.programs.attack} take descriptors {each} & done; wait"

    def opened(limit: str, seconds: float) -> int:
        with _limits(cell, memory_max=limit):
            command = subprocess.Popen([layout.COMMAND, "exec", cell.name, "--", "sh", "-c", crowd], stdout=-3)
            now, deadline = 0, time.monotonic() + seconds
            while now <= 9 * each and time.monotonic() < deadline:
                time.sleep(0.1)
                now = int(Path("/proc/sys/fs/file-nr").read_text(encoding="ascii").split()[0]) - int(allowed[0])
            jail("exec", cell.name, "--", "sh", "-c", "kill -9 -1")
            command.wait()
            return now

    held, free = opened("16M", _SECONDS), opened("unlimited", 30)
    assert free > 9 * each
    assert held < free // 2


@pytest.mark.row(56)
def test_contexts_of_asynchronous_io(cell: Cell) -> None:
    """Of which the whole machine has a number: a jail gets none; who gets them takes them from all."""
    with cell.taking("aio", 10, "1") as taken:
        assert taken == (0, "ENOSYS")
    with taking([cell.programs.attack], "aio", 10, "1") as taken:
        assert taken.end == "all"


@pytest.mark.row(57)
def test_system_v_segments(cell: Cell) -> None:
    """They are not there. Where they are allowed they are memory of the jail's, also when nobody holds them, and go
    with it; without a limit there is no bound."""
    with cell.taking("segments", 10) as taken:
        assert taken == (0, "ENOSYS")
    before = Path("/proc/sysvipc/shm").read_text(encoding="ascii")
    cell.restart(allow_sysvipc=True)
    try:
        with cell.taking("segments", 128) as taken:
            assert taken.end == "all"
        cell.restart()
        with _limits(cell, memory_max="64M"):
            for _time in range(2):
                with cell.taking("segments", 128) as taken:
                    assert taken.end == "killed"
            assert (live.group_of(cell.name).get("memory_used") or 0) <= 64 * _MEBIBYTE
    finally:
        cell.restart(allow_sysvipc=False)
    assert Path("/proc/sysvipc/shm").read_text(encoding="ascii") == before
