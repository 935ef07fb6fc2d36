# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking all there is, several jails together, each within its own limits: the host keeps a reserve.

Where it is a control group that bounds them, these tests have one of their own with a small bound, so that whatever
else runs on this machine has its.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import ceiling, console, live, policy, start
from ansible_collections.cellblock.jails.plugins.module_utils.jail import stop as stopping
from ansible_collections.cellblock.jails.tests.breakout.support.cells import taking
from ansible_collections.cellblock.jails.tests.breakout.support.meter import PORT, Latency, Meter
from ansible_collections.cellblock.jails.tests.breakout.support.programs import Programs
from ansible_collections.cellblock.jails.tests.breakout.support.table import Record
from ansible_collections.cellblock.jails.tests.integration.support import sandbox
from ansible_collections.cellblock.jails.tests.integration.support.boxes import fresh_name
from ansible_collections.cellblock.jails.tests.integration.support.calls import attempt, module

_SECONDS = 60
_MEBIBYTE = 1 << 20


def _made(programs: Programs, commands: Sequence[Sequence[str]]) -> list[str]:
    """Jails that run these commands, when they are started."""
    names = [fresh_name() for _each in commands]
    rootfs = {"method": "skeleton", "binaries": ["busybox", *programs.all()], "trust_group": "breakout"}
    module("jail_rootfs", jails=[{"name": name, **rootfs} for name in names])
    module("jail_state", jails=[{"name": name, "command": list(each)} for name, each in zip(names, commands)])
    return names


def _taken(name: str) -> tuple[int, str]:
    """How many of what it takes a jail has got, and what ended it."""
    deadline = time.monotonic() + _SECONDS
    while not (said := console.last_lines(name, 1)):
        assert time.monotonic() < deadline, "it is still taking"
        time.sleep(0.05)
    number, end = said[0].split()
    return int(number), end.decode()


class Ceiling:
    """A control group for all jails, of this test alone."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @contextlib.contextmanager
    def over(self, names: Sequence[str], **figures: str) -> Iterator[None]:
        """Have these jails run below it for a ``with`` block."""
        self._file.write_text(json.dumps(figures), encoding="ascii")
        try:
            for name in names:
                start.start(name)
            yield
        finally:
            for name in names:
                stopping.stop_as_desired(name)
                Path(layout.console(name)).unlink(missing_ok=True)

    def used(self, figure: str) -> int:
        """What all of them have."""
        return int(ceiling.describe()[figure]["used"])


@pytest.fixture
def below(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Ceiling]:
    """One of them; all that this process starts is below it."""
    monkeypatch.setattr(layout, "CGROUP_PARENT", f"jails-{sandbox.PREFIX}together")
    monkeypatch.setattr(layout, "CEILING", str(tmp_path / "ceiling.json"))
    yield Ceiling(tmp_path / "ceiling.json")
    live.hierarchies().group(layout.CGROUP_PARENT, "").remove_parent()


@pytest.fixture
def three(compiled: Programs) -> Iterator[Callable[..., list[str]]]:
    """A function that makes two jails that take so much of a kind, and a third, a server."""
    made: list[str] = []

    def make(*words: str) -> list[str]:
        made.extend(_made(compiled, [[compiled.attack, "take", *words]] * 2 + [[compiled.server, str(PORT)]]))
        return made

    yield make
    attempt("jail_state", name=made, state="absent")


@pytest.mark.row(47)
def test_processes(three: Callable[..., list[str]], below: Ceiling, compiled: Programs) -> None:
    """Two jails that each may have more have no more than the bound of all; the host makes processes all the same.
    Without the bound they get what they want."""
    first, second, server = three("processes", "300")
    with below.over([server, first, second], pids_max="400"):
        assert _taken(first) == (300, "all")
        number, end = _taken(second)
        assert number < 100
        assert end == "EAGAIN"
        assert below.used("pids_max") == 400
        with taking([compiled.attack], "processes", 200) as hosts:
            assert hosts == (200, "all")
    with below.over([first, second], pids_max="unlimited"):
        assert _taken(first) == _taken(second) == (300, "all")
        assert below.used("pids_max") > 600


@pytest.mark.row(48)
def test_memory(three: Callable[..., list[str]], below: Ceiling, record_property: Record, compiled: Programs) -> None:
    """Likewise: whoever has most is killed for it, and the neighbour goes on answering."""
    first, second, server = three("memory", "120")
    found: list[Latency] = []
    with below.over([server, first], memory_max="200M"):
        assert _taken(first) == (120, "all")
        with Meter(server).measuring(found), below.over([second], memory_max="200M"):  # one too many
            deadline = time.monotonic() + _SECONDS
            while all(map(live.find, (first, second))):
                assert time.monotonic() < deadline
                assert below.used("memory_max") <= 200 * _MEBIBYTE
                time.sleep(0.01)
            time.sleep(1)
            assert live.find(server)
    record_property("measured", f"the neighbour answers in {found[0]}")
    assert found[0].failures == 0
    with below.over([first, second], memory_max="unlimited"):
        assert _taken(first) == _taken(second) == (120, "all")
        assert below.used("memory_max") > 240 * _MEBIBYTE


def test_what_holds_where_nobody_said_anything(name: str) -> None:
    """The group of all jails has a bound on memory and on tasks, less than the host has; a jail has half of the one for
    memory. What somebody changes is put right by the next start, and jail_info tells all of it."""
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"])
    module("jail_state", name=[name], command=["sleep", "100000"], state="started")
    group = live.hierarchies().group("", layout.CGROUP_PARENT)
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    tasks = int(Path("/proc/sys/kernel/pid_max").read_text(encoding="ascii"))
    memory_max, pids_max = group.get("memory_max"), group.get("pids_max")
    assert memory_max
    assert pids_max
    assert total * 3 // 4 - _MEBIBYTE <= memory_max < total
    assert pids_max < tasks
    own = live.group_of(name).get("memory_max")
    assert own
    assert own <= memory_max // 2
    group.set("pids_max", pids_max + 1)
    module("jail_state", name=[name], state="restarted")
    assert group.get("pids_max") == pids_max
    found = module("jail_info", name=[name], gather=["ceiling"])["ceiling"]
    assert found["pids_max"]["max"] == str(pids_max)
    assert found["pids_max"]["used"] >= 1
    assert found["memory_max"]["used"] > 0
    assert found["memory_max"]["max"] == ceiling.show("memory_max", memory_max)


@pytest.fixture
def crowd(compiled: Programs) -> Iterator[list[str]]:
    """As many jails as it takes to have every terminal, each of which takes all that it can get."""
    most, kept = (int(Path(f"/proc/sys/kernel/pty/{name}").read_text(encoding="ascii")) for name in ("max", "reserve"))
    number = (most - kept) // policy.PTYS_MAX + 1
    if number > 40:
        pytest.skip(f"this host has {most} terminals, too many for a test")
    names = _made(compiled, [[compiled.attack, "take", "terminals", "5000"]] * number)
    module("jail_state", name=names, state="started")
    yield names
    attempt("jail_state", name=names, state="absent")


@pytest.mark.row(52)
def test_terminals(crowd: list[str]) -> None:
    """When jails have all the terminals of the machine that they can get, the host opens another: the kernel keeps some
    for it. A file system of terminals that is not the host's gets none."""
    taken = [_taken(name) for name in crowd]
    assert {end for _number, end in taken} == {"ENOSPC"}
    assert max(number for number, _end in taken) == policy.PTYS_MAX
    assert min(number for number, _end in taken) < policy.PTYS_MAX, "they are not all taken"
    master, slave = os.openpty()
    os.close(master)
    os.close(slave)
    other = "mount -t devpts -o ptmxmode=0666 none /dev/pts && : <>/dev/pts/ptmx"
    done = subprocess.run(["unshare", "-m", "sh", "-c", other], capture_output=True, text=True, check=False)
    assert "No space left" in done.stderr
