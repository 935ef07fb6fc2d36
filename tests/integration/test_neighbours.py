# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many jails in one call: each gets what is its own, and one's failure is its own too."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.jail import ids, limits, live
from ansible_collections.cellblock.jails.tests.integration.support import sandbox
from ansible_collections.cellblock.jails.tests.integration.support.boxes import make_boxes
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    actions,
    attempt,
    inside,
    module,
    pid_of,
    refused,
)

Names = Callable[[int], list[str]]


def test_a_list_gives_each_jail_its_own_options(names: Names) -> None:
    """``jails`` converges each with its own options, in one call; a second call changes none, and a call that differs
    for one changes one."""
    one, two, three = jails = names(3)
    make_boxes(jails)
    wishes = [{"name": each, "memory_max": f"{32 + number}M"} for number, each in enumerate(jails)]
    module("jail_limits", jails=wishes)
    assert [live.group_of(each).get("memory_max") for each in jails] == [32 << 20, 33 << 20, 34 << 20]
    assert not module("jail_limits", jails=wishes)["changed"]
    wishes[1]["memory_max"] = "64M"
    result = module("jail_limits", jails=wishes)
    assert [result["jails"][each]["changed"] for each in jails] == [False, True, False]
    assert list(result["jails"]) == [one, two, three]
    assert [diff["after_header"] for diff in result["diff"]] == [f"{two} (limits)"]


def test_one_failure_leaves_the_others_working(names: Names) -> None:
    """Of six jails three cannot start, each for a reason of its own: the others do, the message names each of the three
    with its reason, and nothing of the three runs or stands half made."""
    good, nowhere, norights, norootfs, bad, last = jails = names(6)
    module(
        "jail_rootfs",
        jails=[{"name": each, "method": "skeleton", "binaries": ["busybox"]} for each in jails if each != norootfs],
    )
    commands = {nowhere: ["/nowhere"], norights: ["/etc/passwd"]}
    wishes = [{"name": each, "command": commands.get(each, ["sleep", "999"]), "state": "started"} for each in jails]
    wishes[4]["hostname"] = "no_host_name"
    result = attempt("jail_state", jails=wishes)
    assert result["failed"]
    assert result["changed"]
    reasons = {
        nowhere: "no such program (/nowhere)",
        norights: "Permission denied (/etc/passwd)",
        norootfs: "it has no root file system",
        bad: "hostname: 'no_host_name' is not a host name",
    }
    for each, reason in reasons.items():
        assert reason in result["jails"][each]["msg"]
        assert f"{each}: {result['jails'][each]['msg']}" in result["msg"]
        assert not live.group_of(each).exists()
        assert live.find(each) is None
    for each in (good, last):
        assert inside(each, "echo", "here") == "here\n"
        assert each not in result["msg"].replace(f"{each}0", "")
        assert "failed" not in result["jails"][each]


@pytest.mark.row(8)
def test_a_wrong_name_stops_nobody_else(names: Names) -> None:
    """Names that could be a path, an option, or another name are refused one by one."""
    (good,) = names(1)
    make_boxes([good])
    wrong = ["", "..", "a/b", "-x", "x-", "Upper", "a\nb", "é", "a" * 64, "web1 ", "."]
    result = attempt(
        "jail_limits", jails=[*({"name": each, "memory_max": "1G"} for each in wrong), {"name": good, "pids_max": "9"}]
    )
    assert result["failed"]
    for each in wrong:
        assert f"{each!r} cannot name a jail" in result["jails"][each]["msg"]
    assert live.group_of(good).get("pids_max") == 9


def test_a_jail_twice_in_one_list_is_an_error(box: str) -> None:
    """Two wishes for one jail in one call contradict each other: nothing is guessed."""
    message = refused("jail_limits", jails=[{"name": box, "memory_max": "16M"}, {"name": box, "memory_max": "32M"}])
    assert "twice" in message
    assert live.group_of(box).get("memory_max") == limits.DEFAULT_MEMORY


def test_state_takes_names_as_a_list(names: Names) -> None:
    """``jail_state`` gives several jails the same options by ``name``."""
    jails = names(2)
    make_boxes(jails)
    result = module("jail_state", name=jails, hostname="same")
    assert [actions(result, each)[0][2] for each in jails] == ["same", "same"]
    assert [inside(each, "hostname") for each in jails] == ["same\n", "same\n"]


def test_two_jails_with_one_address_are_both_named(names: Names) -> None:
    """An address that two jails want is refused for both, and so is one that a jail outside the list has; the third of
    the list gets what it wants."""
    one, two, three = names(3)
    make_boxes([one, two, three])

    def wish(jail: str, host: int) -> dict[str, object]:
        return {"name": jail, "interfaces": [{"name": "e0", "bridge": "br-n", "addresses": [f"10.84.0.{host}/24"]}]}

    result = attempt("jail_net", jails=[wish(one, 7), wish(two, 7), wish(three, 8)])
    assert result["failed"]
    for each in (one, two):
        assert (
            f"jails {' and '.join(sorted([one, two]))} both have the address 10.84.0.7" in result["jails"][each]["msg"]
        )
        assert "e0" not in inside(each, "ip", "link")
    assert "10.84.0.8/24" in inside(three, "ip", "addr")
    message = refused("jail_net", jails=[wish(one, 8)])
    assert f"jails {' and '.join(sorted([one, three]))} both have the address 10.84.0.8" in message


def test_each_jail_has_ids_of_its_own(names: Names) -> None:
    """User 0 of each jail is another id on the host, and the ranges do not overlap."""
    jails = names(3)
    make_boxes(jails)
    firsts = []
    for each in jails:
        with open(f"/proc/{pid_of(each)}/uid_map", encoding="ascii") as file:
            inner, outer, count = map(int, file.read().split())
        assert (inner, count) == (0, ids.COUNT)
        firsts.append(outer)
    assert len({first // ids.COUNT for first in firsts}) == 3
    assert all(first % ids.COUNT == ids.FIRST % ids.COUNT for first in firsts)


@pytest.mark.row(34, 35)
def test_jails_do_not_see_each_other(names: Names) -> None:
    """Processes, files, System V memory and unix sockets of one are not there for the other."""
    one, two = names(2)
    make_boxes([one, two])
    inside(
        one, "sh", "-c", "sleep 5555 >/dev/null 2>&1 & echo secret > /root/secret; echo x > /tmp/x; echo y > /dev/shm/y"
    )
    assert "sleep 5555" in inside(one, "ps")
    assert "sleep 5555" not in inside(two, "ps")
    assert inside(two, "sh", "-c", "ls /root /tmp /dev/shm") == "/dev/shm:\n\n/root:\n\n/tmp:\n"
    kinds = ("mnt", "pid", "net", "ipc", "uts", "cgroup", "user")
    for kind in kinds:
        spaces = {inside(each, "readlink", f"/proc/self/ns/{kind}") for each in (one, two)}
        with_host = spaces | {
            subprocess.run(["readlink", f"/proc/self/ns/{kind}"], capture_output=True, text=True, check=True).stdout
        }
        assert len(with_host) == 3, kind


def test_options_beside_a_list_are_not_dropped(box: str) -> None:
    """An option at top level has no jail to go to when ``jails`` is given: that is said, or it holds for all, but it is
    never silently without effect."""
    result = attempt("jail_limits", jails=[{"name": box}], memory_max="16M")
    assert result.get("failed") or live.group_of(box).get("memory_max") == 16 << 20


def test_bridges_that_no_jail_uses_are_gone(names: Names) -> None:
    """A bridge that was made for a jail goes when its last jail moves to another or is removed."""
    (one,) = names(1)
    make_boxes([one])
    module("jail_net", name=one, interfaces=[{"name": "e0", "bridge": "br-n1"}])
    module("jail_net", name=one, interfaces=[{"name": "e0", "bridge": "br-n2"}])
    assert [device for device in sandbox.devices() if device.startswith("br-")] == ["br-n2"]
    module("jail_state", name=[one], state="stopped")
    module("jail_net", name=one, interfaces=[{"name": "e0", "bridge": "br-n3"}])
    module("jail_state", name=[one], state="started")
    assert [device for device in sandbox.devices() if device.startswith("br-")] == ["br-n3"]


@pytest.mark.parametrize("which", ["jail_rootfs", "jail_net", "jail_limits", "jail_state"])
def test_unknown_options_are_named(name: str, which: str) -> None:
    """A misspelt option is an error, at top level and in a list."""
    assert "memory_maxx" in refused(which, name=name, memory_maxx="1G")
    assert "memory_maxx" in refused(which, jails=[{"name": name, "memory_maxx": "1G"}])
