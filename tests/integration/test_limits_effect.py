# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits hold: what they stop in a jail works in the same jail without them."""

from __future__ import annotations

import subprocess
import time

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout, sizes
from ansible_collections.cellblock.jails.plugins.module_utils.jail import limits, live
from ansible_collections.cellblock.jails.tests.integration.support.calls import inside, jail, module, pid_of

_HOG = "head -c 40000000 /dev/zero | tail -c 40000000 | wc -c"
"""Holds 40 MB in memory at once: tail(1) has to, as it cannot know where the end is."""


@pytest.mark.row(48)
def test_memory_max_kills_what_takes_more(box: str) -> None:
    """A process that takes more than the jail may have is killed, and not the jail; without the limit it ends well."""
    assert inside(box, "sh", "-c", _HOG) == "40000000\n"
    module("jail_limits", name=box, memory_max="16M")
    pid = pid_of(box)
    done = jail("exec", box, "--", "sh", "-c", _HOG)
    assert done.stdout != b"40000000\n"
    assert pid_of(box) == pid
    module("jail_limits", name=box, memory_max="unlimited")
    assert inside(box, "sh", "-c", _HOG) == "40000000\n"


@pytest.mark.row(48)
def test_files_in_memory_count_as_memory(box: str) -> None:
    """What is written to a tmpfs of the jail is charged to it: /run cannot be filled beyond ``memory_max``."""
    fill = "head -c 40000000 /dev/zero > /dev/shm/file && ls -l /dev/shm/file | wc -l; rm -f /dev/shm/file"
    assert inside(box, "sh", "-c", fill) == "1\n"
    module("jail_limits", name=box, memory_max="16M")
    done = jail("exec", box, "--", "sh", "-c", fill)
    assert done.stdout != b"1\n"


@pytest.mark.row(47)
def test_pids_max_stops_a_fork_bomb(box: str) -> None:
    """A loop that forks more than the jail may have is refused at the limit; without it it goes through."""
    bomb = "i=0; while [ $i -lt 60 ]; do sleep 2 >/dev/null 2>&1 & i=$((i+1)); done; echo all $i"
    assert inside(box, "sh", "-c", bomb) == "all 60\n"
    module("jail_state", name=[box], state="restarted")
    module("jail_limits", name=box, pids_max="30")
    done = jail("exec", box, "--", "sh", "-c", bomb)
    assert b"all 60" not in done.stdout
    assert b"can't fork" in done.stderr
    assert live.group_of(box).get("pids_used") == 30 or len(live.group_of(box).processes()) <= 30


def test_entering_a_jail_that_is_full_says_so(box: str) -> None:
    """With ``pids_max`` reached nothing more enters, and the message tells why."""
    module("jail_limits", name=box, pids_max="1")
    done = jail("exec", box, "--", "true")
    assert done.returncode == 125
    assert b"Traceback" not in done.stderr
    assert b"pids_max" in done.stderr
    module("jail_limits", name=box, pids_max="10")
    assert inside(box, "echo", "in") == "in\n"


def test_cpus_bound_the_time_of_a_busy_loop(box: str) -> None:
    """A busy jail with ``cpus`` 0.2 gets about a fifth of a second each second; without a limit it gets far more."""
    command = subprocess.Popen([layout.COMMAND, "exec", box, "--", "sh", "-c", "while :; do :; done"])
    try:
        time.sleep(0.3)
        free = _cpu_share(box, 1.5)
        module("jail_limits", name=box, cpus="0.2")
        time.sleep(0.3)
        held = _cpu_share(box, 2.5)
    finally:
        module("jail_state", name=[box], state="stopped")
        command.wait()
    assert held < 0.3
    assert free > held * 1.5, "the host is too busy to show anything"


def _cpu_share(name: str, seconds: float) -> float:
    group = live.group_of(name)
    before, began = group.get("cpu_used") or 0, time.monotonic()
    time.sleep(seconds)
    used = (group.get("cpu_used") or 0) - before
    return used / 1e6 / (time.monotonic() - began)


def test_limits_stand_before_the_first_instruction(name: str) -> None:
    """A first process that takes too much memory at once is held by the limit that was recorded before."""
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"])
    module("jail_limits", name=name, memory_max="16M")
    command = ["sh", "-c", f"{_HOG}; echo over; exec sleep 100000"]
    module("jail_state", name=[name], command=command, state="started")
    for _try in range(200):
        log = jail("log", name).stdout
        if b"over" in log:
            break
        time.sleep(0.05)
    assert b"over" in log
    assert b"40000000\n" not in log


def test_a_jail_of_which_nothing_was_said_is_bounded(box: str) -> None:
    """Their number is limited by default, and the memory."""
    assert live.group_of(box).get("pids_max") == 4096
    shown = module("jail_info", name=[box])["jails"][box]["limits"]
    assert shown == {option.name: option.show(option.default) for option in limits.FACET.options}
    assert shown["memory_max"] == sizes.show(limits.DEFAULT_MEMORY)


def test_a_limit_too_low_for_a_start_is_named(name: str) -> None:
    """A start that cannot fit into its memory fails with the limit's name and leaves nothing."""
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"])
    module("jail_limits", name=name, memory_max="4K")
    done = jail("start", name)
    assert done.returncode == 125
    assert b"memory_max" in done.stderr
    assert b"Traceback" not in done.stderr
    assert not live.group_of(name).exists()
    module("jail_limits", name=name, memory_max="unlimited")
    module("jail_state", name=[name], command=["sleep", "99"], state="started")
