# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel parameters of a jail's network: set at its start and live, taken back, and never the host's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

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

_START = "net.ipv4.ip_unprivileged_port_start"
_FORWARD = "net.ipv4.ip_forward"
_LISTEN = ("exec", "-u", "5", "{}", "--", "timeout", "0.3", "nc", "-l", "-p", "81")


def value(name: str, parameter: str) -> str:
    """What the jail sees."""
    return inside(name, "cat", f"/proc/sys/{parameter.replace('.', '/')}").strip()


def listens(name: str) -> bool:
    """Whether a user other than root may bind a low port."""
    done = jail(*(word.format(name) for word in _LISTEN))
    return b"denied" not in done.stderr


def test_set_live_and_taken_back(box: str) -> None:
    """A parameter takes effect in the running jail, and what is left out goes back to what it was; the host's own stays
    as it is throughout."""
    host = Path(f"/proc/sys/{_START.replace('.', '/')}")
    before = host.read_text(encoding="ascii")
    assert not listens(box)
    result = module("jail_state", name=[box], sysctls={_START: 80, _FORWARD: True})
    assert actions(result, box) == [("sysctls", {}, {_START: "80", _FORWARD: "1"}, "live")]
    assert (value(box, _START), value(box, _FORWARD)) == ("80", "1")
    assert listens(box)
    assert not module("jail_state", name=[box], sysctls={_FORWARD: 1, _START: "80"})["changed"]
    module("jail_state", name=[box], sysctls={_FORWARD: 1})
    assert (value(box, _START), value(box, _FORWARD)) == (before.strip(), "1")
    module("jail_state", name=[box], sysctls={})
    assert value(box, _FORWARD) == "0"
    assert host.read_text(encoding="ascii") == before


def test_set_before_the_first_instruction(box: str) -> None:
    """The first process finds them, those of its devices too."""
    eth0 = "net.ipv4.conf.eth0.rp_filter"
    module("jail_net", name=box, interfaces=[{"name": "eth0", "bridge": "br-sysctl"}])
    command = ["sh", "-c", "cat /proc/sys/net/ipv4/conf/eth0/rp_filter; exec sleep 100000"]
    module("jail_state", name=[box], command=command, sysctls={eth0: 2, _START: 80}, state="restarted")
    assert jail("log", box).stdout == b"2\n"
    assert listens(box)
    assert not module("jail_state", name=[box], sysctls={eth0: 2, _START: 80}, state="started")["changed"]


def test_what_changed_by_itself_is_found(box: str) -> None:
    """Live state is the kernel's."""
    module("jail_state", name=[box], sysctls={_FORWARD: 1})
    with network_namespace(pid_of(box)):
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0", encoding="ascii")
    result = module("jail_state", name=[box], sysctls={_FORWARD: 1})
    assert options_changed(result, box) == [("sysctls", "live")]
    assert value(box, _FORWARD) == "1"


def test_values_of_several_words(box: str) -> None:
    """However many blanks are between them."""
    wish = {"net.ipv4.ping_group_range": "0   7"}
    module("jail_state", name=[box], sysctls=wish)
    assert value(box, "net.ipv4.ping_group_range").split() == ["0", "7"]
    assert not module("jail_state", name=[box], sysctls=wish)["changed"]


@pytest.mark.parametrize(
    ("sysctls", "said"),
    [
        ({"kernel.core_pattern": "|/bin/sh"}, "kernel.core_pattern: not a parameter of a network namespace"),
        ({"vm.swappiness": 1}, "vm.swappiness: not a parameter of a network namespace"),
        ({"net.core.bpf_jit_enable": 0}, "net.core.bpf_jit_enable: not a parameter of a network namespace"),
        ({"net.ipv4...kernel.core_pattern": 1}, "is not the name of a kernel parameter"),
        ({"net/ipv4/../../kernel/core_pattern": 1}, "is not the name of a kernel parameter"),
        ({"net.ipv4.ip_forward": "1\n"}, "is not a value of a kernel parameter"),
        ({"net.ipv4.nothing_of_the_kind": 1}, "net.ipv4.nothing_of_the_kind: there is no such parameter"),
        ({"net.ipv4.ip_default_ttl": 1000}, "net.ipv4.ip_default_ttl=1000: Invalid argument"),
    ],
)
def test_what_cannot_be_set(box: str, sysctls: dict[str, Any], said: str) -> None:
    """What is not the network's, what is not there, and what the kernel does not take; the host's are as before."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text(encoding="ascii")
    assert said in refused("jail_state", name=[box], sysctls=sysctls)
    assert Path("/proc/sys/kernel/core_pattern").read_text(encoding="ascii") == pattern


def test_a_start_with_what_cannot_be_set_fails_whole(box: str) -> None:
    """The error names the parameter, and the jail does not run."""
    module("jail_state", name=[box], state="stopped")
    module("jail_state", name=[box], sysctls={"net.ipv4.conf.eth7.rp_filter": 1})
    assert "net.ipv4.conf.eth7.rp_filter" in refused("jail_state", name=[box], state="started")
    assert module("jail_info", name=[box], gather=[])["jails"][box]["status"] == "stopped"


def test_parameters_of_the_host_cannot_be_named_by_what_all_share(box: str) -> None:
    """A parameter that is one for all namespaces is read-only in the jail's, or not there, for the host's root too."""
    shared = [
        name
        for name in ("net/ipv4/tcp_allowed_congestion_control", "net/ipv4/tcp_available_ulp", "net/netfilter/nf_log")
        if os.path.isfile(f"/proc/sys/{name}")
    ]
    assert shared
    for name in shared:
        before = Path(f"/proc/sys/{name}").read_text(encoding="ascii")
        assert "sysctls: " in refused("jail_state", name=[box], sysctls={name: before.split()[0]})
        assert Path(f"/proc/sys/{name}").read_text(encoding="ascii") == before
