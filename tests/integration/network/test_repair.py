# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was done by hand, or left by a killed run, is put right."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from ansible_collections.cellblock.jails.tests.integration.support.networks import network_namespace
from ansible_collections.cellblock.jails.tests.integration.support.wiring import (
    FULL,
    Jail,
    assert_reachable,
    converge,
    read,
    run,
)

IN_JAIL = [
    "ip addr del 10.77.0.11/24 dev eth0",
    "ip addr del fd77::11/64 dev eth0",
    "ip addr add 10.77.0.99/24 dev eth0",
    "ip addr add fd77::99/64 dev eth0",
    "ip addr replace 10.77.0.11/32 dev eth0",
    "ip link set eth0 down",
    "ip link set eth0 mtu 1400",
    "ip link set eth0 mtu 1000",
    "ip link set eth0 address 02:00:00:00:00:99",
    "ip link del eth0",
    "ip route del default",
    "ip -6 route del default",
    "ip route replace default via 10.77.0.9",
    "ip -6 route append default via fd77::9 metric 1024",
    "ip -6 route add default via fd77::9 metric 7",
    "ip route replace default dev eth0",
    "nft flush ruleset",
    "nft flush table inet jails",
    "nft insert rule inet jails output accept",
]


ON_HOST = [
    "ip link set vj1n0 nomaster",
    "ip link set vj1n0 down",
    "ip link del vj1n0",
    "ip addr del 10.77.0.1/24 dev br-jails",
    "ip addr del fd77::1/64 dev br-jails",
    "ip link set br-jails down",
    "ip link del br-jails",
    "nft flush ruleset",
    "nft flush table netdev jails",
    "nft delete table netdev jails",
    "nft delete chain netdev jails vj1n0",
    "nft insert rule netdev jails vj1n0 accept",
    "nft add chain netdev jails vj1n0 '{ policy accept; }'",
    "nft flush chain netdev jails vj1n0/6",
    "nft flush chain netdev jails to-loopback",
    "nft insert rule netdev jails as-router accept",
    "nft flush chain inet jails prerouting",
    "nft flush chain inet jails vj1n0",
    "nft delete element inet jails opened4 { 10.77.0.11 }",
    "nft delete element inet jails opened6 { fd77::11 }",
    "nft delete element inet jails isolated4 { 10.77.0.11 }",
    "nft flush chain inet jails forward",
    "bridge link set dev vj1n0 isolated off",
    "nft flush table inet jails",
    "nft delete element inet jails masquerade4 { 10.77.0.11 }",
    "nft delete element inet jails bridges { br-jails }",
    "sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'",
    "sh -c 'echo 0 >/proc/sys/net/ipv6/conf/all/forwarding'",
]


@pytest.mark.parametrize(
    ("command", "on_host"), [*((each, False) for each in IN_JAIL), *((each, True) for each in ON_HOST)]
)
def test_what_somebody_did_by_hand_is_seen_and_put_right(jail: Jail, command: str, on_host: bool) -> None:
    wanted = converge(jail, {**FULL, "isolate": True})
    run(command, 0 if on_host else jail.pid)
    assert read(jail) != wanted
    converge(jail, {**FULL, "isolate": True})
    assert_reachable("10.77.0.11", jail.pid)
    assert_reachable("fd77::1", 0, jail.pid)


def test_an_interface_that_was_renamed_is_made_anew(jail: Jail) -> None:
    wanted = converge(jail, FULL)
    run("ip link set eth0 down", jail.pid)
    with network_namespace(jail.pid):
        subprocess.run([b"ip", b"link", b"set", b"eth0", b"name", b"\xff\x01"], check=True)
    assert [interface["name"] for interface in read(jail)] == ["\ufffd\x01"]
    assert converge(jail, FULL) == wanted


def test_a_wrong_prefix_length_on_the_bridge_is_put_right(jail: Jail) -> None:
    wanted = converge(jail, FULL)
    run("ip addr del fd77::1/64 dev br-jails")
    run("ip addr add fd77::1/128 dev br-jails")
    assert read(jail) != wanted
    converge(jail, FULL)


def test_a_jail_that_starts_again_before_its_old_namespace_is_gone(start: Callable[..., Jail]) -> None:
    old, new = start(), start()
    converge(old, FULL)
    converge(new, FULL)
    assert_reachable("10.77.0.11", new.pid)
    assert read(old) == []


def test_an_address_that_still_leads_to_a_chain_that_goes(jail: Jail) -> None:
    """As when a run was killed over a change of addresses."""
    wanted = converge(jail, FULL)
    run("nft add element inet jails opened4 '{ 10.77.0.99 : jump vj1n0 }'")
    for _time in range(2):
        converge(jail)
        assert "vj1n0" not in run("nft list table inet jails") + run("nft list table netdev jails")
        assert converge(jail, FULL) == wanted


def test_a_bridge_that_was_left_half_made(jail: Jail) -> None:
    run("ip link add jails-new type bridge")
    converge(jail, FULL)
    assert "jails-new" not in run("ip link")


def test_an_interface_that_was_left_half_made(jail: Jail) -> None:
    wanted = converge(jail, FULL)
    run("ip link set vj1n0 down alias x")
    run("ip addr flush dev eth0", jail.pid)
    run("ip link set eth0 down", jail.pid)
    run("sysctl -qw net.ipv6.conf.eth0.accept_ra=1", jail.pid)
    assert converge(jail, FULL) == wanted
    assert "alias jail web1 eth0" in run("ip link show vj1n0")
    assert run("sysctl -n net.ipv6.conf.eth0.accept_ra", jail.pid) == "0\n"
