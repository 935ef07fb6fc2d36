# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A jail from nothing to nothing, by the modules: made, run, stopped, restarted, put right, removed."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import namespaces, paths
from ansible_collections.cellblock.jails.tests.integration.support import evidence, sandbox
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    actions,
    inside,
    jail,
    module,
    options_changed,
    pid_of,
    refused,
)
from ansible_collections.cellblock.jails.tests.integration.support.networks import network_namespace

_INTERFACE = {
    "name": "eth0",
    "bridge": "br-life",
    "addresses": ["10.81.0.11/24", "fd81::11/64"],
    "gateway": "10.81.0.1",
    "gateway6": "fd81::1",
    "masquerade": True,
}


def steps(name: str) -> list[tuple[str, dict[str, Any]]]:
    """The four calls that make a jail, with every option that this can show something of."""
    return [
        ("jail_rootfs", {"name": name, "method": "skeleton", "binaries": ["busybox"]}),
        ("jail_limits", {"name": name, "memory_max": "48M", "cpus": "0.5", "pids_max": "50"}),
        ("jail_net", {"name": name, "interfaces": [_INTERFACE], "dns": ["192.0.2.53"], "search": ["example.org"]}),
        (
            "jail_state",
            {"name": [name], "command": ["sleep", "9999"], "hostname": "box.example.org", "state": "started"},
        ),
    ]


def test_first_run_makes_it_and_second_changes_nothing(name: str) -> None:
    """What the options say is what the kernel then has, and a second run of each module finds nothing to do, with the
    jail running on."""
    for which, options in steps(name):
        assert module(which, **options)["changed"], which
    pid = pid_of(name)
    group = live.group_of(name)
    assert (group.get("memory_max"), group.get("cpu_quota"), group.get("pids_max")) == (48 << 20, 50_000, 50)
    assert inside(name, "hostname") == "box.example.org\n"
    assert inside(name, "cat", "/etc/hostname") == "box.example.org\n"
    assert inside(name, "cat", "/etc/resolv.conf") == "nameserver 192.0.2.53\nsearch example.org\n"
    addresses = inside(name, "ip", "addr", "show", "eth0")
    assert "10.81.0.11/24" in addresses
    assert "fd81::11/64" in addresses
    for which, options in steps(name):
        again = module(which, **options)
        assert not again["changed"], (which, again)
        assert again["diff"] == []
    assert pid_of(name) == pid


def test_left_out_options_stay_and_given_ones_converge_both_ways(name: str) -> None:
    """A call that names one limit leaves the others; ``unlimited`` and an empty list take away."""
    for which, options in steps(name):
        module(which, **options)
    result = module("jail_limits", name=name, cpus="unlimited")
    assert actions(result, name) == [("cpus", "0.5", "unlimited", "live")]
    assert live.group_of(name).get("cpu_quota") is None
    assert live.group_of(name).get("memory_max") == 48 << 20
    module("jail_net", name=name, dns=[])
    assert inside(name, "cat", "/etc/resolv.conf") == "search example.org\n"
    module("jail_net", name=name, interfaces=[])
    assert "eth0" not in inside(name, "ip", "link")
    assert inside(name, "cat", "/etc/resolv.conf") == "search example.org\n"


def test_stopped_jail_leaves_nothing_running_and_starts_as_it_was(name: str) -> None:
    """Stopping ends every process, the control group and the host's end of the network; a start brings all back."""
    for which, options in steps(name):
        module(which, **options)
    inside(name, "sh", "-c", "sleep 8888 >/dev/null 2>&1 & echo kept > /root/file")
    group = live.group_of(name)
    assert len(group.processes()) == 2
    result = module("jail_state", name=[name], state="stopped")
    assert actions(result, name) == [("state", "started", "stopped", "stop")]
    assert not group.exists()
    assert not [device for device in sandbox.devices() if device.startswith("vj")]
    assert not os.path.exists(layout.running(name))
    assert not module("jail_state", name=[name], state="stopped")["changed"]
    module("jail_state", name=[name], state="started")
    assert inside(name, "cat", "/root/file") == "kept\n"
    assert inside(name, "hostname") == "box.example.org\n"
    assert group.get("memory_max") == 48 << 20
    for which, options in steps(name):
        assert not module(which, **options)["changed"], which


def test_restarted_is_another_first_process(box: str) -> None:
    """``restarted`` always restarts, and starts what does not run."""
    before = pid_of(box)
    result = module("jail_state", name=[box], state="restarted")
    assert actions(result, box) == [("state", "started", "started", "restart")]
    assert pid_of(box) != before
    module("jail_state", name=[box], state="stopped")
    result = module("jail_state", name=[box], state="restarted")
    assert actions(result, box) == [("state", "stopped", "started", "start")]
    assert pid_of(box)


def test_absent_leaves_nothing(name: str) -> None:
    """After ``absent`` files, network, packet filter, forwarding and control groups are as they were before the jail.

    What stays is meant to: templates, the runtime, locks, caches, the log of builds.
    """
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"])  # the template stays
    module("jail_state", name=[name], state="started", command=["sleep", "99"])
    module("jail_state", name=[name], state="absent")
    before = evidence.everything()
    for which, options in steps(name):
        module(which, **options)
    assert evidence.network() != before["network"]
    result = module("jail_state", name=[name], state="absent")
    assert actions(result, name) == [("state", "present", "absent", "remove")]
    after = evidence.everything()
    assert after["network"] == before["network"]
    assert after["groups"] == before["groups"]
    assert _lasting(after["files"]) == _lasting(before["files"])
    assert not [path for path in after["files"] if name in os.path.basename(path) and layout.LOCKS not in path]
    assert not module("jail_state", name=[name], state="absent")["changed"]
    assert name not in module("jail_info")["jails"]


def _lasting(files: dict[str, tuple[Any, ...]]) -> set[str]:
    return {path for path in files if not path.startswith((layout.LOCKS, layout.LOG, layout.HOST_STATE))}


def test_rootfs_absent_is_refused_while_the_jail_runs(box: str) -> None:
    """A root file system is not taken from under a running jail, nor turned into another one."""
    message = refused("jail_rootfs", name=box, state="absent")
    assert "the jail runs" in message
    assert "state=stopped" in message
    assert inside(box, "true") == ""
    message = refused("jail_rootfs", name=box, method="skeleton", binaries=["busybox", "true"])
    assert "binaries" in message
    module("jail_state", name=[box], state="stopped")
    assert module("jail_rootfs", name=box, state="absent")["changed"]
    assert not os.path.exists(layout.storage(box))
    assert not module("jail_rootfs", name=box, state="absent")["changed"]


def test_limit_changed_by_hand_is_put_right(box: str) -> None:
    """``changed`` comes from the kernel: a limit that somebody wrote into the control group shows and is put back."""
    module("jail_limits", name=box, memory_max="48M")
    group = live.group_of(box)
    group.set("memory_max", 96 << 20)
    shown = module("jail_info", name=[box], gather=["limits"])["jails"][box]["limits"]["memory_max"]
    assert shown == "96M"
    result = module("jail_limits", name=box, memory_max="48M")
    assert actions(result, box) == [("memory_max", "96M", "48M", "live")]
    assert group.get("memory_max") == 48 << 20


def test_hostname_changed_by_hand_is_put_right(box: str) -> None:
    """Likewise the host name."""
    module("jail_state", name=[box], hostname="mine")
    with paths.opened(namespaces.open_namespace(pid_of(box), "uts")) as names, namespaces.inside(names, "uts"):
        namespaces.set_hostname("stray")
    result = module("jail_state", name=[box], hostname="mine")
    assert actions(result, box) == [("hostname", "stray", "mine", "live")]
    assert inside(box, "hostname") == "mine\n"


def test_network_changed_by_hand_is_put_right(box: str) -> None:
    """Likewise an address, a route, and the file with the name servers."""
    wanted: dict[str, Any] = {"interfaces": [_INTERFACE], "dns": ["192.0.2.53"]}
    module("jail_net", name=box, **wanted)
    with network_namespace(pid_of(box)):
        subprocess.run(["ip", "addr", "add", "10.81.0.66/24", "dev", "eth0"], check=True)
        subprocess.run(["ip", "route", "del", "default"], check=True)
    inside(box, "sh", "-c", "echo nameserver 203.0.113.1 > /etc/resolv.conf")
    result = module("jail_net", name=box, **wanted)
    assert options_changed(result, box) == [("interfaces", "live"), ("dns", "live")]
    assert "10.81.0.66" not in inside(box, "ip", "addr")
    assert "default via 10.81.0.1" in inside(box, "ip", "route")
    assert inside(box, "cat", "/etc/resolv.conf") == "nameserver 192.0.2.53\n"
    assert not module("jail_net", name=box, **wanted)["changed"]


def test_jail_that_ended_by_itself_is_started_again(box: str) -> None:
    """A jail whose first process ended is stopped for the modules, whatever its bookkeeping says."""
    module("jail_state", name=[box], command=["sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.05; done"])
    module("jail_state", name=[box], state="restarted")
    before = pid_of(box)
    jail("exec", box, "--", "sh", "-c", "sleep 0.3; kill -TERM 1; sleep 5")
    assert module("jail_info", name=[box])["jails"][box]["status"] == "stopped"
    result = module("jail_state", name=[box], state="started")
    assert actions(result, box) == [("state", "stopped", "started", "start")]
    assert pid_of(box) != before


@pytest.mark.parametrize("signal_name", ["SIGTERM", "SIGUSR1", "SIGRTMIN+3"])
def test_stop_asks_by_the_chosen_signal(name: str, signal_name: str) -> None:
    """The first process gets the chosen signal, real-time ones included, and the time to end in its own way."""
    number = {"SIGTERM": "15", "SIGUSR1": "10", "SIGRTMIN+3": "37"}[signal_name]
    handler = f"trap 'echo asked; sleep 0.5; echo done; exit 0' {number}; echo ready; while :; do sleep 0.05; done"
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"])
    module("jail_state", name=[name], command=["sh", "-c", handler], stop_signal=signal_name, state="started")
    _wait_for_log(name, "ready\n")
    module("jail_state", name=[name], state="stopped")
    assert jail("log", name).stdout == b"ready\nasked\ndone\n"


def test_stop_kills_after_the_timeout(name: str) -> None:
    """A first process that catches the signal and goes on is killed when its time is up."""
    handler = "trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done"
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"])
    module("jail_state", name=[name], command=["sh", "-c", handler], stop_timeout=0.5, state="started")
    _wait_for_log(name, "ready\n")
    module("jail_state", name=[name], state="stopped")
    assert jail("log", name).stdout == b"ready\nasked\n"
    assert not live.group_of(name).exists()


def _wait_for_log(name: str, text: str) -> None:
    subprocess.run(
        ["timeout", "20", "sh", "-c", f"until grep -q {text.strip()} {layout.live_console(name)}; do sleep 0.05; done"],
        check=True,
    )
