# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this host cannot give is said, or accepted and listed."""

from __future__ import annotations

import os

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.tests.integration.support.calls import actions, attempt, module, refused
from ansible_collections.cellblock.jails.tests.integration.support.loads import only_on_v2

_ONLY_V2 = {
    "memory_high": "64M",
    "memory_min": "8M",
    "memory_low": "8M",
    "oom_group": True,
    "io_latency": "10ms",
    "unified": {"memory.zswap.max": "0"},
}


def _only_on_v1() -> None:
    if live.hierarchies().version == 2:
        pytest.skip("this host's controllers are on cgroup version 2, which has all of it")


@pytest.mark.parametrize("option", _ONLY_V2)
def test_what_version_1_does_not_have_is_an_error(box: str, option: str) -> None:
    """It names what is missing and how to have it or do without; nothing is recorded. A stopped jail is told so too."""
    _only_on_v1()
    message = refused("jail_limits", jails=[{"name": box, option: _ONLY_V2[option]}])
    assert f"{box}: {option}: " in message
    assert "version 2" in message
    assert f"accept_missing: [{option}]" in message
    module("jail_state", name=[box], state="stopped")
    assert "version 2" in refused("jail_limits", jails=[{"name": box, option: _ONLY_V2[option]}])
    module("jail_state", name=[box], state="started")


@pytest.mark.parametrize("option", _ONLY_V2)
def test_what_is_accepted_is_listed_and_settled(box: str, option: str) -> None:
    """With the user's consent it is recorded, changes nothing the second time, is listed under ``degraded`` in every
    result of any module, and does not keep the jail from starting. Without consent it is an error again."""
    _only_on_v1()
    wish = {"name": box, option: _ONLY_V2[option], "accept_missing": [option]}
    result = module("jail_limits", jails=[wish])
    assert result["jails"][box]["changed"]
    assert [text.split(": ")[0] for text in result["jails"][box]["degraded"]] == [option]
    again = module("jail_limits", jails=[wish])
    assert not again["changed"]
    assert again["jails"][box]["degraded"] == result["jails"][box]["degraded"]
    started = module("jail_state", name=[box], state="restarted")
    assert set(result["jails"][box]["degraded"]) <= set(started["jails"][box]["degraded"])
    assert "version 2" in refused("jail_limits", name=box, accept_missing=[])


def test_doing_without_is_no_error(box: str) -> None:
    """To say that there is no limit is true on every host."""
    nothing = {"memory_high": "unlimited", "memory_min": "0", "oom_group": False, "unified": {}, "io_devices": []}
    assert not module("jail_limits", jails=[{"name": box, **nothing}])["changed"]


def test_huge_pages_need_their_controller(box: str) -> None:
    """Where it is not mounted, that is said."""
    if not live.group_of(box).lacks("hugetlb"):
        pytest.skip("this host has the controller")
    if not os.path.isdir("/sys/kernel/mm/hugepages/hugepages-2048kB"):
        pytest.skip("this host has no huge pages of 2 MiB")
    assert "no cgroup controller 'hugetlb'" in refused("jail_limits", name=box, hugepages={"2M": "4M"})
    assert "huge pages of" in refused("jail_limits", name=box, hugepages={"3M": "4M"})


def test_what_goes_against_itself_is_refused(box: str) -> None:
    """Before anything is touched."""
    assert "more than cpus: 0.5" in refused("jail_limits", name=box, cpus="0.5", cpu_burst="0.6")
    assert "not all of '0-4000'" in refused("jail_limits", name=box, cpuset_cpus="0-4000")
    assert "cpus: '0'" in refused("jail_limits", name=box, cpus="0")
    if live.hierarchies().version == 1:
        assert "memory_max must be limited" in refused("jail_limits", name=box, memory_max="unlimited", swap_max="1M")
    assert not module("jail_limits", name=box, cpus="unlimited", cpu_burst="0", cpuset_cpus="all")["changed"]


@pytest.mark.parametrize("file", ["cgroup.procs", "cgroup.freeze", "../x", "a/b", "/etc/passwd", "memory", ".", ""])
def test_files_that_are_none_of_a_controller(shared_box: str, file: str) -> None:
    """Refused on every host, and so is what has an option."""
    assert "is not a file of a controller" in refused("jail_limits", name=shared_box, unified={file: "1"})
    assert "has an option of its own: memory_max" in refused(
        "jail_limits", name=shared_box, unified={"memory.max": "1"}
    )


def test_files_without_an_option(box: str) -> None:
    """Written, found as written, and taken back to what they said before."""
    only_on_v2("unified")
    wish = {"name": box, "unified": {"memory.swap.high": "1048576", "pids.max": "5"}}
    assert "has an option of its own: pids_max" in refused("jail_limits", jails=[wish])
    wish = {"name": box, "unified": {"memory.swap.high": "1048576"}}
    assert actions(module("jail_limits", jails=[wish]), box)[0][3] == "live"
    assert not module("jail_limits", jails=[wish])["changed"]
    module("jail_state", name=[box], state="restarted")
    assert not module("jail_limits", jails=[wish])["changed"]
    assert "the kernel shows" in refused("jail_limits", name=box, unified={"memory.swap.high": "4097"})
    module("jail_limits", name=box, unified={})
    assert not module("jail_limits", name=box, unified={})["changed"]
    with open(f"{live.group_of(box).directory('memory')}/memory.swap.high", encoding="ascii") as file:
        assert file.read() == "max\n"
    assert attempt("jail_limits", name=box, unified={"memory.no_such": "1"}).get("failed")
