# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nice value and scheduling policy: what they give beside others in the same control group, and who they hold for."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.jail import limits, live
from ansible_collections.cellblock.jails.plugins.module_utils.jail.converge import converge
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process, scheduling
from ansible_collections.cellblock.jails.tests.integration.support.boxes import make_boxes
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    actions,
    jail,
    module,
    options_changed,
    pid_of,
    refused,
    shell,
)

_SPIN = "while :; do :; done"
_SECONDS = 2.0


def _threads(name: str) -> set[int]:
    return {thread for pid in live.group_of(name).processes() for thread in scheduling.threads(pid)}


def _cpu(pid: int) -> float:
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


@contextmanager
def _rival(name: str, cpu: int) -> Iterator[int]:
    """An ordinary process that spins on a CPU, in the control groups of a jail."""

    def spin() -> None:
        os.sched_setaffinity(0, {cpu})
        live.group_of(name).join()
        while True:
            pass

    pid = process.fork(spin)
    try:
        yield pid
    finally:
        os.kill(pid, 9)
        process.wait(pid)


def _part_of(name: str) -> float:
    """The part of one CPU that a spinning process of a jail has beside an ordinary one in its control groups."""
    cpu = min(os.sched_getaffinity(0))
    (spinner,) = set(live.group_of(name).processes()) - {pid_of(name)}
    os.sched_setaffinity(spinner, {cpu})
    with _rival(name, cpu) as rival:
        deadline = time.monotonic() + 20
        while _cpu(rival) < 0.1 and time.monotonic() < deadline:
            time.sleep(0.05)
        before = _cpu(spinner), _cpu(rival)
        time.sleep(_SECONDS)
        while sum(after := (_cpu(spinner) - before[0], _cpu(rival) - before[1])) < _SECONDS / 4:
            assert time.monotonic() < deadline, after
            time.sleep(0.1)
    return after[0] / sum(after)


def _spinning(name: str) -> str:
    jail("exec", name, "--", "sh", "-c", f"({_SPIN}) </dev/null >/dev/null 2>&1 &")
    return name


@pytest.mark.parametrize("option", [{"nice": 15}, {"scheduling": "idle"}])
def test_what_it_leaves_to_others(box: str, option: dict[str, Any]) -> None:
    """A spinner beside an ordinary one on one CPU: equal at first, next to nothing with the option, equal again."""
    _spinning(box)
    ordinary: dict[str, Any] = {"nice": 0, "scheduling": "other"}
    assert 0.3 < _part_of(box) < 0.7
    result = module("jail_limits", name=box, **option)
    assert options_changed(result, box) == [(each, "live") for each in option]
    assert _part_of(box) < 0.15
    module("jail_limits", name=box, **ordinary)
    assert 0.3 < _part_of(box) < 0.7


def test_they_hold_from_the_start_and_for_who_enters(name: str) -> None:
    """The first process, its children and commands that enter alike."""
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"])
    module("jail_limits", name=name, nice=7, scheduling="batch")
    show = "cut -d' ' -f19,41 /proc/self/stat"
    module("jail_state", name=[name], command=["sh", "-c", f"{show}; sleep 100000"], state="started")
    assert shell(name, show).split() == ["7", str(os.SCHED_BATCH)]
    assert jail("log", name).stdout.split() == [b"7", b"3"]
    jail("exec", name, "--", "sh", "-c", "sleep 99999 </dev/null >/dev/null 2>&1 &")
    assert {(scheduling.nice(each), scheduling.policy(each).name) for each in _threads(name)} == {(7, "batch")}
    found = module("jail_info", name=[name], gather=["limits"])["jails"][name]["limits"]
    assert (found["nice"], found["scheduling"]) == (7, "batch")


def test_all_threads_of_a_running_jail_change_and_change_back(box: str) -> None:
    """All that are what they were given; one that made itself nicer stays, where that is nicer still."""
    for _each in range(2):
        jail("exec", box, "--", "sh", "-c", "sleep 99999 </dev/null >/dev/null 2>&1 &")
    scheduling.set_nice(max(live.group_of(box).processes()), 12)
    result = module("jail_limits", name=box, nice=5, scheduling="idle")
    assert actions(result, box) == [("nice", 0, 5, "live"), ("scheduling", "other", "idle", "live")]
    assert {scheduling.nice(each) for each in _threads(box)} == {5, 12}
    assert {scheduling.policy(each).name for each in _threads(box)} == {"idle"}
    assert not module("jail_limits", name=box, nice=5, scheduling="idle")["changed"]
    module("jail_limits", name=box, nice=0, scheduling="other")
    assert {scheduling.nice(each) for each in _threads(box)} == {0, 12}
    assert {scheduling.policy(each).name for each in _threads(box)} == {"other"}


@pytest.mark.parametrize("values", [("5", "9"), ("9", "5"), ("0", "-4")])
def test_a_change_that_was_killed_is_made_again(
    box: str, values: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the first process had it and before any other: the next run finds it so, and changes them all."""
    before, after = map(int, values)
    module("jail_limits", name=box, nice=before)
    jail("exec", box, "--", "sh", "-c", "sleep 99999 </dev/null >/dev/null 2>&1 &")
    set_nice = scheduling.set_nice

    def set_one(thread: int, wanted: int) -> None:
        set_nice(thread, wanted)
        os.kill(os.getpid(), 9)

    def change() -> None:
        monkeypatch.setattr(scheduling, "set_nice", set_one)
        converge(limits.FACET, [{"name": box, "nice": after}], check=False)

    assert process.wait(process.fork(change)) == 128 + 9
    assert {scheduling.nice(each) for each in _threads(box)} == {before, after}
    assert module("jail_limits", name=box, nice=after)["changed"]
    assert {scheduling.nice(each) for each in _threads(box)} == {after}
    assert shell(box, "cut -d' ' -f19 /proc/self/stat").strip() == str(after)
    assert not module("jail_limits", name=box, nice=after)["changed"]


def test_a_first_process_that_is_nicer_than_it_has_to_be(box: str) -> None:
    """It stays so, and is nothing to change."""
    module("jail_limits", name=box, nice=3, scheduling="other")
    scheduling.set_nice(pid_of(box), 8)
    scheduling.set_policy(pid_of(box), scheduling.Policy("batch"))
    assert not module("jail_limits", name=box, nice=3, scheduling="other")["changed"]
    scheduling.set_nice(pid_of(box), 0)
    assert actions(module("jail_limits", name=box, nice=3), box) == [("nice", 0, 3, "live")]
    assert scheduling.nice(pid_of(box)) == 3


@pytest.mark.parametrize("policy", ["fifo:3", "rr:1"])
def test_real_time_is_given_or_refused_by_the_kernels_word(box: str, policy: str) -> None:
    """Where the kernel gives it, it is there; else the error has the kernel's word and says what it takes."""
    result = module("jail_limits", name=box, nice=0, scheduling="other")
    assert not result["changed"]

    def attempt() -> None:
        live.group_of(box).join()
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))

    if process.wait(process.fork(attempt)) == 0:
        module("jail_limits", name=box, scheduling=policy)
        assert scheduling.policy(pid_of(box)).name == policy.partition(":")[0]
    else:
        message = refused("jail_limits", name=box, scheduling=policy)
        assert "scheduling: the kernel refuses it: Operation not permitted" in message
        assert "CAP_SYS_NICE" in message


def test_core_scheduling_holds_or_is_refused_by_name(box: str) -> None:
    """With it the first process and what enters have the cookie of one core; where the kernel cannot, the error says
    what it takes."""

    def attempt() -> None:
        scheduling.make_core(os.getpid())

    assert shell(box, "echo in") == "in\n"
    if process.wait(process.fork(attempt)) == 0:
        module("jail_limits", name=box, core_scheduling=True)
        assert scheduling.has_core(pid_of(box))
        assert not module("jail_limits", name=box, core_scheduling=True)["changed"]
        module("jail_limits", name=box, core_scheduling=False)
        assert not scheduling.has_core(pid_of(box))
    else:
        message = refused("jail_limits", name=box, core_scheduling=True)
        assert "core_scheduling: the kernel refuses it" in message
        assert "CONFIG_SCHED_CORE" in message
        assert not module("jail_limits", name=box, core_scheduling=False)["jails"][box]["restart_required"]


def test_a_start_that_the_kernel_refuses_names_the_option(name: str) -> None:
    """A recorded core_scheduling that the kernel cannot do stops the start, and leaves nothing; without it starts."""
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"])
    module("jail_limits", name=name, core_scheduling=True)
    done = jail("start", name)
    if done.returncode == 0:
        assert scheduling.has_core(pid_of(name))
    else:
        assert b"core_scheduling" in done.stderr
        assert b"Traceback" not in done.stderr
        assert not live.group_of(name).exists()
        module("jail_limits", name=name, core_scheduling=False)
        make_boxes([name])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"nice": 20}, "between -20 and 19"),
        ({"scheduling": "fast"}, "is not a policy"),
        ({"scheduling": "fifo"}, "no priority from 1 to 99"),
        ({"scheduling": "rr:100"}, "no priority from 1 to 99"),
        ({"scheduling": "batch:1"}, "is not a policy"),
    ],
)
def test_words_that_mean_nothing(options: dict[str, Any], said: str) -> None:
    """They are named with what would be right."""
    assert said in refused("jail_limits", name="x", **options)
