# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A frozen jail does nothing, keeps everything, and can be thawed, stopped and removed; by the freezer of either
version."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.cgroup import freezer
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.cgroup.group import Group
from ansible_collections.cellblock.jails.tests.integration.support import sandbox
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    actions,
    jail,
    module,
    pid_of,
    shell,
)

_COUNT = "i=0; while :; do i=$((i+1)); echo $i > /run/count; done"


def _cpu(pid: int) -> int:
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0])


def _moves(pid: int) -> bool:
    """Whether a process that never rests has CPU time within a second; in a few where the host is busy."""
    before, deadline = _cpu(pid), time.monotonic() + 10
    time.sleep(1)
    while _cpu(pid) == before and time.monotonic() < deadline and not freezer.is_frozen(_group_of(pid)):
        time.sleep(0.2)
    return _cpu(pid) != before


def _group_of(pid: int) -> Group:
    return next(live.group_of(name) for name in sandbox.groups() if pid in live.group_of(name).processes())


@pytest.fixture
def busy(box: str) -> tuple[str, int]:
    """A jail, and the number of a process in it that never rests."""
    jail("exec", box, "--", "sh", "-c", f"({_COUNT}) </dev/null >/dev/null 2>&1 &")
    (pid,) = set(live.group_of(box).processes()) - {pid_of(box)}
    assert _moves(pid)
    return box, pid


def _state(name: str) -> str:
    return str(module("jail_info", name=[name], gather=[])["jails"][name]["status"])


def test_nothing_moves_in_a_frozen_jail(busy: tuple[str, int]) -> None:
    """Not before the thaw; then the same processes go on. Check mode tells the same and does nothing."""
    name, pid = busy
    first = pid_of(name)
    would = module("jail_state", name=[name], state="frozen", check=True)
    assert actions(would, name) == [("state", "started", "frozen", "freeze")]
    assert _moves(pid)
    assert actions(module("jail_state", name=[name], state="frozen"), name) == actions(would, name)
    assert not _moves(pid)
    assert _state(name) == "frozen"
    assert json.loads(jail("ls", "--json").stdout)[name]["status"] == "frozen"
    assert not module("jail_state", name=[name], state="frozen")["changed"]
    assert actions(module("jail_state", name=[name], state="started"), name) == [("state", "frozen", "started", "thaw")]
    assert _moves(pid)
    assert (_state(name), pid_of(name)) == ("started", first)
    assert not module("jail_state", name=[name], state="started")["changed"]


def test_by_hand(busy: tuple[str, int]) -> None:
    """``jail freeze`` and ``jail thaw``, each also where it is so already; not of what does not run."""
    name, pid = busy
    for _twice in range(2):
        assert jail("freeze", name).returncode == 0
    assert not _moves(pid)
    assert b"frozen" in jail("ls").stdout
    for _twice in range(2):
        assert jail("thaw", name).returncode == 0
    assert _moves(pid)
    module("jail_state", name=[name], state="stopped")
    for verb in ("freeze", "thaw"):
        done = jail(verb, name)
        assert (done.returncode, b"it does not run" in done.stderr) == (125, True)


def test_what_would_enter_is_refused(box: str) -> None:
    """With what helps, instead of waiting for ever; after the thaw it enters."""
    jail("freeze", box)
    done = jail("exec", box, "--", "true")
    assert done.returncode == 125
    assert b"jail thaw" in done.stderr
    jail("thaw", box)
    assert shell(box, "echo in") == "in\n"


def test_options_of_a_frozen_jail_change(box: str) -> None:
    """It stays frozen, and has the new limit and name when it is thawed."""
    jail("freeze", box)
    module("jail_limits", name=box, pids_max="77", rlimits={"nofile": 99})
    module("jail_state", name=[box], hostname="other")
    assert _state(box) == "frozen"
    module("jail_state", name=[box], state="started")
    assert shell(box, "hostname; ulimit -n").split() == ["other", "99"]
    assert live.group_of(box).get("pids_max") == 77


@pytest.mark.parametrize("state", ["stopped", "restarted", "absent"])
def test_a_frozen_jail_can_be_ended(busy: tuple[str, int], state: str) -> None:
    """Each state that ends it does; nothing of it stays, and what is started again moves."""
    name, pid = busy
    jail("freeze", name)
    result = module("jail_state", name=[name], state=state)
    assert result["changed"]
    assert not os.path.exists(f"/proc/{pid}")
    if state == "restarted":
        assert shell(name, "echo in") == "in\n"
    else:
        assert not live.group_of(name).exists()


def test_what_does_not_run_is_started_and_held(name: str) -> None:
    """In one go, and listed so."""
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"])
    result = module("jail_state", name=[name], command=["sh", "-c", _COUNT], state="frozen")
    assert [each[3] for each in actions(result, name)] == ["record", "start", "freeze"]
    assert not _moves(pid_of(name))
    jail("thaw", name)
    assert _moves(pid_of(name))


def test_the_freezer_of_version_2(unified: Group) -> None:
    """It holds a process that spins, tells so, and lets it go on; frozen, it can be killed."""
    (pid,) = unified.processes()
    before = _cpu(pid)
    while _cpu(pid) == before:
        time.sleep(0.05)
    assert not freezer.is_frozen(unified)
    freezer.freeze(unified)
    before = _cpu(pid)
    time.sleep(0.5)
    assert (_cpu(pid), freezer.is_frozen(unified)) == (before, True)
    freezer.thaw(unified)
    while _cpu(pid) == before:
        time.sleep(0.05)
    assert not freezer.is_frozen(unified)
    freezer.freeze(unified)
