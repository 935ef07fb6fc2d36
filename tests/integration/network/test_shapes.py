# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted is what is there, whatever it is."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process
from ansible_collections.cellblock.jails.plugins.module_utils.net import sysctl
from ansible_collections.cellblock.jails.plugins.module_utils.net.addresses import parse_interfaces
from ansible_collections.cellblock.jails.plugins.module_utils.net.netlink import Netlink
from ansible_collections.cellblock.jails.plugins.module_utils.net.network import Network
from ansible_collections.cellblock.jails.tests.integration.support.networks import network_namespace
from ansible_collections.cellblock.jails.tests.integration.support.wiring import (
    FULL,
    PLAIN,
    SHAPES,
    Jail,
    assert_reachable,
    converge,
    everything,
    listener,
    look,
    pending,
    read,
    release,
    run,
    wire,
)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_what_is_wanted_is_read_back_and_a_second_run_changes_nothing(jail: Jail, shape: list[dict[str, Any]]) -> None:
    assert read(jail) == []
    converge(jail, *shape)
    before = everything(jail.pid)
    assert "UP" in run("ip link show lo", jail.pid)
    converge(jail, *shape)
    assert _steady(everything(jail.pid)) == _steady(before)


def _steady(texts: list[str]) -> list[str]:
    # A link-local address comes of itself, a moment after the link is up; so do routes for it and the timers of
    # bridges and sets.
    mute = ("fe80", "ff00", "bridge", "forever", "ether", "expires")
    return [line for text in texts for line in text.splitlines() if not any(word in line for word in mute)]


@pytest.mark.parametrize("first", SHAPES.values(), ids=SHAPES.keys())
def test_every_shape_becomes_the_full_one_and_goes_away(jail: Jail, first: list[dict[str, Any]]) -> None:
    converge(jail, *first)
    converge(jail, FULL)
    converge(jail, *first)
    converge(jail)


def test_a_second_run_sends_no_message_that_changes_anything(jail: Jail) -> None:
    converge(jail, *SHAPES["two"])
    with listener(0) as on_host, listener(jail.pid) as in_jail:
        _until_quiet(on_host, in_jail)
        converge(jail, *SHAPES["two"])
        assert pending(on_host) == pending(in_jail) == 0


def _until_quiet(*listeners: socket.socket) -> None:
    """Wait until link-local addresses are assigned: duplicate address detection takes one to two seconds."""
    deadline = time.monotonic() + 10
    quiet = time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - quiet < 2.5:
        if sum(pending(listener) for listener in listeners):
            quiet = time.monotonic()
        time.sleep(0.1)


def test_the_network_works_at_once(jail: Jail) -> None:
    with Network() as network, Netlink() as host:
        wire(network, jail, parse_interfaces(jail.name, [FULL]))
        outside = host.link("vj1n0")
        assert outside
        assert not host.is_idle_port(outside)
    assert_reachable("10.77.0.11", jail.pid)
    assert_reachable("fd77::11", jail.pid)
    assert_reachable("10.77.0.1", 0, jail.pid)
    assert_reachable("fd77::1", 0, jail.pid)
    assert_reachable("127.0.0.1", jail.pid, jail.pid)


def test_jails_of_one_bridge_reach_each_other(start: Callable[..., Jail]) -> None:
    web, db = start("web1", 1), start("db1", 2)
    with Network() as network:
        for jail, last in ((web, 11), (db, 12)):
            value = {**FULL, "addresses": [f"10.77.0.{last}/24", f"fd77::{last}/64"]}
            wire(network, jail, parse_interfaces(jail.name, [value]))
    assert assert_reachable("10.77.0.12", db.pid, web.pid) == ("10.77.0.11",)
    assert assert_reachable("fd77::11", web.pid, db.pid) == ("fd77::12",)


def test_a_bridge_of_the_administrator_is_used_as_it_is(jail: Jail) -> None:
    run("ip link add br-lan type bridge")
    run("ip link add nic type veth peer name wire")
    run("ip link set wire up")
    run("ip link set nic master br-lan address 02:00:00:00:00:10 mtu 9000 up")
    run("ip link set br-lan up")
    run("ip addr add 10.77.0.5/24 dev br-lan")
    before = run("ip -o -4 addr show br-lan"), run("ip -o link show br-lan")
    on_lan = {**FULL, "bridge": "br-lan", "mac": "00:00:00:00:00:11"}
    wanted = converge(jail, on_lan)
    assert_reachable("10.77.0.11", jail.pid)
    assert "10.77.0.1/" not in run("ip addr show br-lan")
    assert (run("ip -o -4 addr show br-lan"), run("ip -o link show br-lan")) == before  # its MAC address and MTU too
    converge(jail)
    release(wanted)
    assert (run("ip -o -4 addr show br-lan"), run("ip -o link show br-lan")) == before


def test_a_device_that_is_no_bridge_is_refused(jail: Jail) -> None:
    run("ip tuntap add br-jails mode tap")
    with pytest.raises(JailError, match="br-jails is no bridge but tun"):
        converge(jail, PLAIN)


def test_a_name_that_the_jail_uses_itself_is_refused(jail: Jail) -> None:
    run("ip tuntap add eth0 mode tap", jail.pid)
    with pytest.raises(JailError, match="the jail has a device eth0 of its own"):
        converge(jail, PLAIN)


def test_what_the_kernel_refuses_is_said_with_what_was_tried(jail: Jail) -> None:
    run("ip link add slave type veth")
    run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1", jail.pid)
    with pytest.raises(JailError, match=r"^interfaces: adding the address fd77::11/64 to eth0: Permission denied"):
        converge(jail, FULL)


def test_devices_that_the_jail_made_are_its_own(jail: Jail) -> None:
    converge(jail, FULL)
    run("ip tuntap add tun7 mode tun", jail.pid)
    run("ip link add here type veth peer name there", jail.pid)
    converge(jail, FULL)
    converge(jail)
    assert "tun7" in run("ip link", jail.pid)


@pytest.mark.row(44)
def test_no_advertisement_from_a_jail_reaches_the_host_and_none_the_jail(jail: Jail) -> None:
    converge(jail, FULL)
    assert sysctl.read("net/ipv6/conf/br-jails/accept_ra") == "0"
    assert sysctl.read("net/ipv6/conf/vj1n0/disable_ipv6") == "1"
    with network_namespace(jail.pid):
        assert sysctl.read("net/ipv6/conf/eth0/accept_ra") == "0"


def test_processes_that_converge_at_once(start: Callable[..., Jail]) -> None:
    jails = [start(f"j{slot}", slot) for slot in range(1, 9)]
    values = [{**FULL, "addresses": [f"10.77.0.{jail.slot + 10}/24", f"fd77::{jail.slot + 10}/64"]} for jail in jails]

    def one(jail: Jail, value: dict[str, Any]) -> Callable[[], None]:
        def child() -> None:
            with Network() as network:
                wire(network, jail, parse_interfaces(jail.name, [value]))

        return child

    children = [process.fork(one(jail, value)) for jail, value in zip(jails, values)]
    assert [process.wait(child) for child in children] == [0] * len(jails)
    for jail, value in zip(jails, values):
        assert read(jail) == parse_interfaces(jail.name, [value])


def test_no_thread_and_no_inheritable_descriptor(jail: Jail) -> None:
    before, threads = set(os.listdir("/proc/self/fd")), os.listdir("/proc/self/task")
    with Network() as network:
        wire(network, jail, parse_interfaces(jail.name, [FULL]))
        look(network, jail)
        assert os.listdir("/proc/self/task") == threads
        opened = [int(number) for number in set(os.listdir("/proc/self/fd")) - before if _is_open(number)]
        assert opened
        assert not any(os.get_inheritable(number) for number in opened)
    assert set(os.listdir("/proc/self/fd")) == before


def _is_open(number: str) -> bool:
    # The list has the descriptor by which it was read.
    return os.path.exists(f"/proc/self/fd/{number}")


def test_a_missing_pyroute2_is_named_with_its_package_where_it_is_needed(
    jail: Jail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyroute2.iproute", None)
    converge(jail)
    assert "UP" in run("ip link show lo", jail.pid)
    with pytest.raises(JailError, match="Debian's package is python3-pyroute2"):
        converge(jail, PLAIN)
