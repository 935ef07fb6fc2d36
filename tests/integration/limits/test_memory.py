# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a jail gets of memory."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout, sizes
from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.tests.integration.support.boxes import make_boxes
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    actions,
    inside,
    jail,
    module,
    pid_of,
    refused,
    shell,
)
from ansible_collections.cellblock.jails.tests.integration.support.loads import fits, hog, only_on_v2

_HELD = 40
_FILE = "/run/held"
"""On a tmpfs: memory that nobody can take back without swap."""


@pytest.fixture
def neighbours(names: Callable[[int], list[str]]) -> list[str]:
    """Two jails."""
    two = names(2)
    make_boxes(two)
    return two


def test_a_hog_is_killed_and_its_neighbour_is_not(neighbours: list[str]) -> None:
    """What takes more than its jail may have ends there; what takes as much in the other jail at that time does not. In
    a jail without the limit it ends well."""
    hogged, other = neighbours
    assert fits(hogged, _HELD)
    module("jail_limits", name=hogged, memory_max="16M")
    pids = [pid_of(name) for name in neighbours]
    with subprocess.Popen(
        [layout.COMMAND, "exec", other, "--", "sh", "-c", f"{hog(_HELD)}; sleep 1; {hog(_HELD)}"],
        stdout=subprocess.PIPE,
    ) as beside:
        for _time in range(3):
            assert not fits(hogged, _HELD)
        printed, _errors = beside.communicate()
    assert printed.split() == [str(_HELD << 20).encode()] * 2
    assert [pid_of(name) for name in neighbours] == pids


def test_lowering_takes_back_what_can_be(box: str) -> None:
    """Of a jail that holds the pages of a file, so much is taken that the new limit holds, and the result says how
    much; nothing is killed, and the file is whole."""
    shell(box, f"head -c {_HELD << 20} /dev/zero > /srv/file; sync; cat /srv/file > /dev/null")
    used = live.group_of(box).get("memory_used") or 0
    assert used > _HELD << 20
    pid = pid_of(box)
    result = module("jail_limits", name=box, memory_max="16M")
    assert actions(result, box)[0][2:] == ("16M", "live")
    assert (sizes.parse(result["jails"][box]["reclaimed"]) or 0) >= used - (17 << 20)
    assert (live.group_of(box).get("memory_used") or 0) <= 16 << 20
    assert pid_of(box) == pid
    assert inside(box, "wc", "-c", "/srv/file").split()[0] == str(_HELD << 20)
    assert "reclaimed" not in module("jail_limits", name=box, memory_max="unlimited")["jails"][box]


def test_lowering_below_what_cannot_be_taken_back_kills_nothing(box: str) -> None:
    """Where memory cannot go, the old limit stays and the message says with figures why; the next start has the new
    one. When it is let go of, the same call succeeds."""
    if _meminfo()["SwapTotal"]:
        pytest.skip("this host has swap, where memory can go")
    module("jail_limits", name=box, memory_max="200M")
    shell(box, f"head -c {_HELD << 20} /dev/zero > {_FILE}")
    pid = pid_of(box)
    message = refused("jail_limits", name=box, memory_max="16M")
    assert "memory_max: 16M is less than the" in message
    assert "200M stays" in message
    assert live.group_of(box).get("memory_max") == 200 << 20
    assert pid_of(box) == pid
    assert inside(box, "wc", "-c", _FILE).split()[0] == str(_HELD << 20)
    inside(box, "rm", _FILE)
    module("jail_limits", name=box, memory_max="16M")
    assert live.group_of(box).get("memory_max") == 16 << 20


def _meminfo() -> dict[str, int]:
    with open("/proc/meminfo", encoding="ascii") as file:
        return {line.split(":")[0]: int(line.split()[1]) for line in file}


def test_percentages_are_of_the_host(box: str) -> None:
    """Shown back as such."""
    result = module("jail_limits", name=box, memory_max="50%")
    assert live.group_of(box).get("memory_max") == sizes.whole_pages(sizes.memory() // 2)
    assert actions(result, box)[0][2] == sizes.show_memory(sizes.whole_pages(sizes.memory() // 2))
    assert not module("jail_limits", name=box, memory_max="50%")["changed"]


def test_memory_high_slows_down_and_does_not_kill(box: str) -> None:
    """What takes more goes on, but so slowly that it is far behind; without it is through."""
    only_on_v2("memory_high")
    began = time.monotonic()
    assert fits(box, _HELD)
    free = time.monotonic() - began
    module("jail_limits", name=box, memory_high="8M")
    began = time.monotonic()
    with subprocess.Popen(
        [layout.COMMAND, "exec", box, "--", "sh", "-c", hog(_HELD)], stdout=subprocess.PIPE
    ) as slowed:
        with pytest.raises(subprocess.TimeoutExpired):
            slowed.communicate(timeout=free * 3 + 2)
        module("jail_limits", name=box, memory_high="unlimited")
        printed, _errors = slowed.communicate()
    assert printed.strip() == str(_HELD << 20).encode()


def test_oom_group_ends_all_of_it(box: str) -> None:
    """Where one process takes too much, the jail ends with it; without only that process does."""
    only_on_v2("oom_group")
    module("jail_limits", name=box, memory_max="16M")
    assert not fits(box, _HELD)
    assert module("jail_info", name=[box])["jails"][box]["status"] == "started"
    module("jail_limits", name=box, oom_group=True)
    jail("exec", box, "--", "sh", "-c", hog(_HELD))
    deadline = time.monotonic() + 10
    while module("jail_info", name=[box])["jails"][box]["status"] != "stopped":
        assert time.monotonic() < deadline, "it goes on"
        time.sleep(0.1)


@pytest.mark.parametrize("guarantee", ["memory_min", "memory_low"])
def test_what_is_guaranteed_is_left_to_it(neighbours: list[str], guarantee: str) -> None:
    """When all jails together have to give back memory, the pages of a file stay with the jail to which they are
    guaranteed, and those of its neighbour go; without the guarantee they go as well."""
    only_on_v2(guarantee)
    held, other = neighbours
    for name in neighbours:
        module("jail_limits", name=name, memory_max="unlimited")
    wish: dict[str, Any] = {guarantee: "64M"}
    without = _left_after_pressure(held, other)
    module("jail_limits", name=held, **wish)
    assert not module("jail_limits", name=held, **wish)["changed"]
    kept = _left_after_pressure(held, other)
    assert kept > 0.9 * (_HELD << 20)
    assert without < 0.7 * (_HELD << 20)


def _left_after_pressure(held: str, other: str) -> int:
    """The bytes that a jail has left of a file that it has read, after both together had to give back most."""
    for name in (held, other):
        shell(name, f"head -c {_HELD << 20} /dev/zero > /srv/file; sync; cat /srv/file > /dev/null")
    together = live.hierarchies().group("", layout.CGROUP_PARENT)
    excess = sum(live.group_of(name).get("memory_used") or 0 for name in (held, other)) - ((_HELD + 8) << 20)
    with open(f"{together.directory('memory')}/memory.reclaim", "w", encoding="ascii", buffering=1) as file:
        try:
            file.write(str(excess))
            file.flush()
        except BlockingIOError:
            pass  # it took back less: what is guaranteed is in its way
    return live.group_of(held).get("memory_used") or 0


def test_no_more_is_guaranteed_than_there_is(names: Callable[[int], list[str]]) -> None:
    """Refused with the arithmetic, before anything is recorded; what fits into the rest is not."""
    one, two = names(2)
    make_boxes([one, two])
    accepted: dict[str, Any] = {"accept_missing": ["memory_min", "memory_low"]}
    module("jail_limits", name=one, memory_min="50%", memory_max="unlimited", **accepted)
    message = refused("jail_limits", name=two, memory_low="60%", memory_max="unlimited", **accepted)
    assert f"({one})" in message
    assert f"({two})" in message
    assert "all jails together would be guaranteed" in message
    assert module("jail_info", name=[two])["jails"][two]["limits"]["memory_low"] == "0"
    module("jail_limits", name=two, memory_low="10%", memory_max="unlimited", **accepted)


def test_swap_has_a_limit(box: str) -> None:
    """What does not fit into memory goes to swap no further than the limit; without it goes there."""
    if not _meminfo()["SwapTotal"]:
        pytest.skip("this host has no swap")
    module("jail_limits", name=box, memory_max="24M", swap_max="unlimited")
    assert fits(box, _HELD)
    module("jail_limits", name=box, swap_max="0")
    assert not fits(box, _HELD)


def test_swap_is_limited_beside_memory(box: str) -> None:
    """Both are what was said of them whatever is changed first, upward and downward."""
    group = live.group_of(box)
    for memory, swap in (("64M", "32M"), ("256M", "0"), ("32M", "128M"), ("unlimited", "unlimited"), ("64M", "64M")):
        module("jail_limits", name=box, memory_max=memory, swap_max=swap)
        assert (group.get("memory_max"), group.get("swap_max")) == (sizes.parse(memory), sizes.parse_or_nothing(swap))
        assert not module("jail_limits", name=box, memory_max=memory, swap_max=swap)["changed"]
    module("jail_limits", name=box, memory_max="128M")
    assert (group.get("memory_max"), group.get("swap_max")) == (128 << 20, 64 << 20)
