# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a jail receives and sends, and how many packets."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.net.netlink import Netlink
from ansible_collections.cellblock.jails.tests.integration.support.throughput import (
    bits_per_second,
    datagrams,
    flowing,
)
from ansible_collections.cellblock.jails.tests.integration.support.wiring import (
    PLAIN,
    Jail,
    assert_alive,
    connect,
    converge,
    read,
    run,
)

_OUT = {**PLAIN, "gateway": "10.77.0.1"}
_SECONDS = 1.5
_LIMIT = 20e6
"""Bits per second: a machine on which others work as well is far faster."""

_WAYS: dict[str, tuple[str, bool]] = {"rate_in": ("10.77.0.11", True), "rate_out": ("10.77.0.1", False)}
"""The address at which whoever receives listens, and whether that is the jail."""


def _flow(jail: Jail, key: str) -> float:
    address, to_jail = _WAYS[key]
    with flowing(*_connected(address, jail, to_jail)) as arrived:
        time.sleep(0.5)  # what may pass at once has passed
        return bits_per_second(arrived, _SECONDS)


def _connected(address: str, jail: Jail, to_jail: bool) -> Any:
    return connect(address, jail.pid, 0) if to_jail else connect(address, 0, jail.pid)


@pytest.mark.parametrize("key", _WAYS)
def test_a_rate_holds_one_way_and_not_the_other(jail: Jail, key: str) -> None:
    (other,) = _WAYS.keys() - {key}
    converge(jail, _OUT)
    assert _flow(jail, key) > 4 * _LIMIT
    converge(jail, {**_OUT, key: "20Mbit"})
    assert 0.3 * _LIMIT < _flow(jail, key) < 1.3 * _LIMIT
    assert _flow(jail, other) > 4 * _LIMIT
    converge(jail, _OUT)
    assert _flow(jail, key) > 4 * _LIMIT


@pytest.mark.parametrize("key", _WAYS)
def test_a_flow_goes_on_while_its_rate_changes(jail: Jail, key: str) -> None:
    converge(jail, {**_OUT, key: "5Mbit"})
    with flowing(*_connected(_WAYS[key][0], jail, _WAYS[key][1])) as arrived:
        for rate, least, most in (("5Mbit", 1.5e6, 6.5e6), ("40Mbit", 12e6, 52e6), ("unlimited", 80e6, None)):
            converge(jail, {**_OUT, key: rate})
            time.sleep(0.5)
            found = bits_per_second(arrived, _SECONDS)
            assert least < found, rate
            assert most is None or found < most, rate


def test_a_jail_that_takes_its_queue_away_is_held_by_the_host(jail: Jail) -> None:
    """Which lets pass what comes in a second at once, and then no more than the rate."""
    converge(jail, {**_OUT, "rate_out": "20Mbit"})
    run("tc qdisc del dev eth0 root", jail.pid)
    with flowing(*_connected("10.77.0.1", jail, False)) as arrived:
        time.sleep(2)
        assert bits_per_second(arrived, 2) < 1.3 * _LIMIT
    run("nft flush chain netdev jails vj1n0")
    run("nft add chain netdev jails vj1n0 '{ policy accept; }'")
    assert _flow(jail, "rate_out") > 4 * _LIMIT


@pytest.mark.parametrize("address", ["10.77.0.1", "fd77::1"])
def test_packets_are_counted(jail: Jail, address: str) -> None:
    both = {**_OUT, "addresses": ["10.77.0.11/24", "fd77::11/64"], "gateway6": "fd77::1"}
    converge(jail, both)
    assert datagrams(jail.pid, address, 0, 3000, 3000) > 2700
    converge(jail, {**both, "packets_max": 500})
    # A second's worth, what may come at once, and more for as long as a busy machine takes longer.
    assert 300 < datagrams(jail.pid, address, 0, 3000, 3000) < 1500
    assert datagrams(0, "10.77.0.11", jail.pid, 3000, 3000) > 2700
    converge(jail, both)
    assert datagrams(jail.pid, address, 0, 3000, 3000) > 2700


def test_connections_live_through_limits(jail: Jail) -> None:
    converge(jail, _OUT)
    near, far = connect("10.77.0.11", jail.pid)
    with near, far:
        for changes in ({"rate_in": "1Mbit"}, {"rate_out": "1Mbit"}, {"packets_max": 50}, {"packets_max": 60}, {}):
            converge(jail, {**_OUT, **changes})
            assert_alive((near, far))


@pytest.mark.parametrize(("rate", "mtu"), [("8Kbit", 65535), ("8008bit", 1500), ("1Mbit", 1500), ("34Gbit", 9000)])
def test_every_rate_is_read_back(jail: Jail, rate: str, mtu: int) -> None:
    wanted = converge(jail, {**PLAIN, "rate_in": rate, "rate_out": rate, "packets_max": 1_000_000, "mtu": mtu})
    assert [wanted[0]["rate_in"], wanted[0]["rate_out"]] == [rate, rate]
    before = run("tc qdisc show"), run("tc qdisc show", jail.pid)
    converge(jail, {**PLAIN, "rate_in": rate, "rate_out": rate, "packets_max": 1_000_000, "mtu": mtu})
    assert (run("tc qdisc show"), run("tc qdisc show", jail.pid)) == before


@pytest.mark.parametrize("kind", ["macvlan", "phys"])
def test_an_interface_that_does_not_pass_the_host(
    jail: Jail, outside: int, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sends so fast, and so many packets, as the jail's own device and filter let it; nothing of that stays with a
    device that is given back."""
    monkeypatch.setattr(layout, "BORROWED", str(tmp_path / "borrowed.json"))
    run("ip addr flush dev uplink")
    before = run("tc qdisc show dev uplink")
    plain = {"name": "eth0", "type": kind, "parent": "uplink", "addresses": ["192.0.2.11/24"]}
    for changes, holds in (({}, False), ({"rate_out": "20Mbit"}, True), ({}, False)):
        converge(jail, {**plain, **changes})
        with flowing(*connect("192.0.2.2", outside, jail.pid)) as arrived:
            time.sleep(0.5)
            assert (bits_per_second(arrived, _SECONDS) < 1.3 * _LIMIT) == holds
    converge(jail, {**plain, "packets_max": 500})
    assert 300 < datagrams(jail.pid, "192.0.2.2", outside, 3000, 3000) < 1500
    with pytest.raises(ValueError, match=f"rate_in does not go with type {kind}"):
        converge(jail, {**plain, "rate_in": "1Mbit"})
    converge(jail, {**plain, "rate_out": "1Mbit"})
    converge(jail)
    assert run("tc qdisc show dev uplink") == before


@pytest.mark.parametrize("key", _WAYS)
def test_a_routed_interface(jail: Jail, key: str) -> None:
    routed = {"name": "eth0", "type": "routed", "addresses": ["10.77.0.11/32"], "gateway": "10.77.0.1"}
    converge(jail, routed)
    assert _flow(jail, key) > 4 * _LIMIT
    converge(jail, {**routed, key: "20Mbit"})
    assert 0.3 * _LIMIT < _flow(jail, key) < 1.3 * _LIMIT


def test_without_limits_there_is_no_queue_again(jail: Jail) -> None:
    converge(jail, PLAIN)
    before = run("tc qdisc show"), run("tc qdisc show", jail.pid), run("nft list table netdev jails")
    converge(jail, {**PLAIN, "rate_in": "1Mbit", "rate_out": "1Mbit", "packets_max": 100})
    assert run("tc qdisc show dev vj1n0") != before[0]
    converge(jail, PLAIN)
    assert (run("tc qdisc show"), run("tc qdisc show", jail.pid), run("nft list table netdev jails")) == before


@pytest.mark.parametrize(
    ("command", "on_host", "key"),
    [
        ("tc qdisc del dev vj1n0 root", True, "rate_in"),
        ("tc qdisc replace dev vj1n0 root tbf rate 20Mbit burst 25000 limit 300000", True, "rate_in"),
        ("tc qdisc replace dev vj1n0 root pfifo", True, "rate_in"),
        ("tc qdisc del dev eth0 root", False, "rate_out"),
        ("tc qdisc change dev eth0 root tbf rate 5Mbit burst 25000 limit 400000", False, "rate_out"),
        ("nft flush table netdev jails", True, "rate_out"),
        ("nft flush table netdev jails", True, "packets_max"),
    ],
)
def test_what_somebody_did_by_hand_is_seen_and_put_right(jail: Jail, command: str, on_host: bool, key: str) -> None:
    limited = {**PLAIN, "rate_in": "20Mbit", "rate_out": "20Mbit", "packets_max": 5000}
    wanted = converge(jail, limited)
    run(command, 0 if on_host else jail.pid)
    assert dict(read(jail)[0])[key] != dict(wanted[0])[key]
    converge(jail, limited)


def test_a_queue_of_the_administrator_stays_where_there_is_no_limit(jail: Jail) -> None:
    converge(jail, PLAIN)
    run("tc qdisc replace dev vj1n0 root pfifo limit 77")
    converge(jail, PLAIN)
    assert "pfifo" in run("tc qdisc show dev vj1n0")


def test_the_queues_of_other_devices_are_none_of_ours(jail: Jail) -> None:
    run("ip link add other type veth peer name wire")
    run("tc qdisc replace dev other root tbf rate 1Mbit burst 10000 limit 20000")
    converge(jail, {**PLAIN, "rate_in": "1Mbit"})
    converge(jail, PLAIN)
    assert "rate 1Mbit" in run("tc qdisc show dev other")
    with Netlink() as host:
        outside = host.link("vj1n0")
        assert outside
        assert host.queue(outside) is None
