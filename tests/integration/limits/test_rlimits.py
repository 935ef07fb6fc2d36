# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resource limits hold for every process of a jail, and change in all of them at once."""

from __future__ import annotations

import resource
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import observe, rlimits
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    actions,
    jail,
    module,
    options_changed,
    pid_of,
    refused,
    shell,
)

_OPEN_FORTY = 'for number in $(seq 10 49); do eval "exec $number</dev/null"; echo $number; done'
_WRITE_8M = "head -c 8388608 /dev/zero > /root/file; wc -c < /root/file; rm -f /root/file"


def _limits(name: str) -> dict[str, str]:
    found = module("jail_info", name=[name], gather=["limits"])["jails"][name]["limits"]["rlimits"]
    assert isinstance(found, dict)
    return found


def _last_opened(name: str) -> int:
    return int(jail("exec", name, "--", "sh", "-c", _OPEN_FORTY).stdout.split()[-1])


def test_what_a_process_sees_and_cannot_do(box: str) -> None:
    """A file descriptor too many, a file too large: possible without the limits, refused with them, possible again."""
    assert _last_opened(box) == 49
    assert shell(box, _WRITE_8M).strip() == "8388608"
    result = module("jail_limits", name=box, rlimits={"nofile": "30:60", "fsize": "4M"})
    assert actions(result, box) == [("rlimits", {}, {"nofile": "30:60", "fsize": "4M"}, "live")]
    assert shell(box, "ulimit -Sn; ulimit -Hn").split() == ["30", "60"]
    assert _last_opened(box) == 29
    assert jail("exec", box, "--", "sh", "-c", _WRITE_8M).stdout.strip() != b"8388608"
    assert _limits(box) == {"nofile": "30:60", "fsize": "4M"}
    assert not module("jail_limits", name=box, rlimits={"nofile": "30:60", "fsize": "4096K"})["changed"]


def test_they_hold_from_the_first_instruction_and_for_who_enters(name: str) -> None:
    """Of the first process, its children and a command that enters alike; the usual ones stay where nothing is said."""
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"])
    module("jail_limits", name=name, rlimits={"nofile": 100, "nproc": "50:70", "cpu": "unlimited"})
    show = "grep -E 'processes|open files|core' /proc/self/limits"
    module("jail_state", name=[name], command=["sh", "-c", f"{show}; exec sleep 100000"], state="started")
    words = ["core", "file", "size", "1", "1", "bytes"], ["processes", "50", "70", "processes"]
    assert [line.split()[1:] for line in shell(name, show).splitlines()] == [
        *words,
        ["open", "files", "100", "100", "files"],
    ]
    assert jail("log", name).stdout.decode() == shell(name, show)
    found = observe.limits(pid_of(name))
    assert found["nofile"] == (100, 100)
    assert found["core"] == (1, 1)
    assert found["nice"] == (0, 0)


def test_all_processes_of_a_running_jail_change(box: str) -> None:
    """The first one, one of another user, and a child of it; one that holds itself tighter keeps that."""
    scripts = {"0": "exec sleep 99999", "7": "sleep 99999 & sleep 99999; :", "8": "ulimit -n 50; exec sleep 99999"}
    for user, script in scripts.items():
        jail("exec", "-u", user, box, "--", "sh", "-c", f"({script}) </dev/null >/dev/null 2>&1 &")
    pids = live.group_of(box).processes()
    assert len(pids) >= 6
    module("jail_limits", name=box, rlimits={"nofile": "200:300"})
    found = sorted(observe.limits(pid)["nofile"] for pid in pids)
    assert found == [(50, 50), *[(200, 300)] * (len(pids) - 1)]
    module("jail_limits", name=box, rlimits={"nofile": "20:300"})
    assert {observe.limits(pid)["nofile"] for pid in pids} == {(20, 300), (50, 50)}


def test_what_only_a_new_start_can_raise_waits_for_it(box: str) -> None:
    """A lowered hard limit that is taken back: live where this host may raise one, else by the restart."""
    usual = observe.limits(pid_of(box))["nofile"]
    module("jail_limits", name=box, rlimits={"nofile": 64})
    result = module("jail_limits", name=box, rlimits={})
    if rlimits.can_raise():
        assert options_changed(result, box) == [("rlimits", "live")]
    else:
        assert options_changed(result, box) == [("rlimits", "record")]
        assert result["jails"][box]["restart_required"] == ["rlimits"]
        assert module("jail_limits", name=box, rlimits={}, check=True)["jails"][box]["restart_required"] == ["rlimits"]
        module("jail_state", name=[box], state="restarted")
    assert observe.limits(pid_of(box))["nofile"] == usual
    result = module("jail_limits", name=box, rlimits={})
    assert (result["changed"], result["jails"][box]["restart_required"]) == (False, [])


def test_a_hard_limit_that_cannot_be_had_is_refused(name: str) -> None:
    """Above that of the host's own processes, without the right to raise one; nothing is recorded."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if rlimits.can_raise():
        pytest.skip("this host's root may raise hard limits")
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"])
    message = refused("jail_limits", name=name, rlimits={"nofile": most + 1})
    assert "rlimits: nofile" in message
    assert "CAP_SYS_RESOURCE" in message
    assert _limits(name) == {}


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"files": 3}, "'files' is not a resource limit"),
        ({"nofile": "9:3"}, "above the hard one"),
        ({"nofile": "-1"}, "is not a limit"),
        ({"nofile": "1M"}, "is not a limit"),
        ({"as": "much"}, "as: 'much' is not a size"),
        ({"nofile": "1:2:3"}, "neither one limit nor SOFT:HARD"),
    ],
)
def test_words_that_mean_no_limit(limits: dict[str, Any], said: str) -> None:
    """They are named with what would be right."""
    assert said in refused("jail_limits", name="x", rlimits=limits)


def test_the_audit_knows_them(box: str) -> None:
    """A jail with limits of its own attests well, by the limits that it has."""
    module("jail_limits", name=box, rlimits={"nofile": 77, "fsize": "1G"})
    found = module("jail_info", name=[box], gather=["isolation"])["jails"][box]["isolation"]
    assert found["drift"] == []
    assert found["facts"]["rlimits.nofile"] == {"live": 77, "expected": 77, "holds": True}
    assert found["facts"]["rlimits.fsize"]["expected"] == 1 << 30
