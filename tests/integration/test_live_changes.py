# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be changed in a running jail is changed there; what cannot waits for a restart, and says so."""

from __future__ import annotations

from typing import Any

from ansible_collections.cellblock.jails.plugins.module_utils import sizes
from ansible_collections.cellblock.jails.plugins.module_utils.jail import limits, live
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import pidfd
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    actions,
    inside,
    module,
    options_changed,
    pid_of,
)

_ETH0 = {"name": "eth0", "bridge": "br-live", "addresses": ["10.83.0.2/24"], "gateway": "10.83.0.1"}


def test_limits_names_and_network_change_with_the_same_first_process(box: str) -> None:
    """Limits, host name, addresses, a further interface and name servers change under the same process."""
    pid = pid_of(box)
    started = pidfd.start_time(pid)
    module("jail_limits", name=box, memory_max="64M", pids_max="100")
    result = module("jail_limits", name=box, memory_max="32M", pids_max="unlimited", cpus="1.5")
    assert {how for _option, how in options_changed(result, box)} == {"live"}
    assert result["jails"][box]["restart_required"] == []
    group = live.group_of(box)
    assert (group.get("memory_max"), group.get("cpu_quota"), group.get("pids_max")) == (32 << 20, 150_000, None)
    module("jail_state", name=[box], hostname="renamed")
    assert inside(box, "hostname") == "renamed\n"
    module("jail_net", name=box, interfaces=[_ETH0])
    more: dict[str, Any] = {**_ETH0, "addresses": ["10.83.0.2/24", "10.83.0.3/24", "fd83::2/64"]}
    result = module("jail_net", name=box, interfaces=[more, {"name": "eth1", "bridge": "br-live1"}])
    assert options_changed(result, box) == [("interfaces", "live")]
    shown = inside(box, "ip", "addr")
    for text in ("10.83.0.2/24", "10.83.0.3/24", "fd83::2/64", "eth1"):
        assert text in shown
    module("jail_net", name=box, dns=["192.0.2.1"], search=["example.net"])
    assert inside(box, "cat", "/etc/resolv.conf") == "nameserver 192.0.2.1\nsearch example.net\n"
    assert pid_of(box) == pid
    assert pidfd.start_time(pid) == started


def test_what_only_a_start_decides_waits_for_it(box: str) -> None:
    """A command, an init and a user namespace are recorded, reported at every run as waiting, made by ``restarted`` and
    then reported no more. Nothing restarts by itself."""
    pid = pid_of(box)
    wish: dict[str, Any] = {"name": [box], "command": ["sleep", "7777"], "init": "/bin/other", "userns": "host"}
    result = module("jail_state", **wish)
    assert options_changed(result, box) == [("command", "record"), ("init", "record"), ("userns", "record")]
    assert result["jails"][box]["restart_required"] == ["command", "init", "userns"]
    again = module("jail_state", **wish, state="started")
    assert not again["changed"]
    assert again["jails"][box]["restart_required"] == ["command", "init", "userns"]
    assert pid_of(box) == pid
    assert inside(box, "cat", "/proc/1/cmdline") == "sleep\x00100000\x00"
    result = module("jail_state", **wish, state="restarted")
    assert options_changed(result, box) == [("state", "restart")]
    assert result["jails"][box]["restart_required"] == []
    assert inside(box, "cat", "/proc/1/cmdline") == "sleep\x007777\x00"
    final = module("jail_state", **wish, state="started")
    assert not final["changed"]
    assert final["jails"][box]["restart_required"] == []


def test_taking_back_what_waited_leaves_nothing_waiting(box: str) -> None:
    """Going back to the command that runs needs no restart any more."""
    module("jail_state", name=[box], command=["sleep", "7777"])
    result = module("jail_state", name=[box], command=["sleep", "100000"])
    assert actions(result, box) == [("command", ["sleep", "7777"], ["sleep", "100000"], "record")]
    assert result["jails"][box]["restart_required"] == []


def test_empty_command_goes_back_to_the_init(box: str) -> None:
    """An empty list is "no command": the init runs at the next start."""
    inside(box, "sh", "-c", "printf '#!/bin/sh\\nexec sleep 6666\\n' > /usr/sbin/own; chmod 755 /usr/sbin/own")
    module("jail_state", name=[box], command=[], init="/sbin/own", state="restarted")
    assert inside(box, "cat", "/proc/1/cmdline") == "sleep\x006666\x00"
    assert not module("jail_state", name=[box], command=[], init="/sbin/own", state="started")["changed"]


def test_changes_of_a_stopped_jail_hold_from_its_next_start(box: str) -> None:
    """What is changed while a jail is stopped is recorded, and shown as that."""
    module("jail_state", name=[box], state="stopped")
    result = module("jail_limits", name=box, memory_max="20M")
    assert actions(result, box) == [("memory_max", sizes.show(limits.DEFAULT_MEMORY), "20M", "record")]
    assert not live.group_of(box).exists()
    module("jail_net", name=box, interfaces=[_ETH0])
    module("jail_state", name=[box], state="started")
    assert live.group_of(box).get("memory_max") == 20 << 20
    assert "10.83.0.2/24" in inside(box, "ip", "addr")
    assert not module("jail_net", name=box, interfaces=[_ETH0])["changed"]


def test_host_name_is_also_that_of_the_file(box: str) -> None:
    """A program that reads ``/etc/hostname`` finds the same name as one that asks the kernel, from the start on."""
    module("jail_state", name=[box], hostname="first", state="restarted")
    assert inside(box, "cat", "/etc/hostname") == "first\n"
    assert inside(box, "hostname") == "first\n"
