# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes out of a jail in which somebody may send any frame: nothing but its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.net import sysctl
from ansible_collections.cellblock.jails.plugins.module_utils.net.ingress import link_local
from ansible_collections.cellblock.jails.tests.integration.support import frames
from ansible_collections.cellblock.jails.tests.integration.support.lies import LIES, Lie, Station
from ansible_collections.cellblock.jails.tests.integration.support.wiring import Jail, converge, run

_BRIDGE = {"name": "eth0", "bridge": "br-jails"}


class Pair:
    """Two jails on a bridge."""

    def __init__(self, own: Jail, other: Jail) -> None:
        # Where IP's hooks see what a bridge carries, fragments are put together on the way.
        sysctl.write_where_present("net/bridge/bridge-nf-call-ip6tables", "0")
        self.own_jail, self.other_jail = own, other
        self.give()
        mac = str(converge(other, {**_BRIDGE, "addresses": ["10.77.0.12/24", "fd77::12/64"]})[0]["mac"])
        self.other = Station(mac, "10.77.0.12", "fd77::12", link_local(mac))

    def give(self, *more: str, **changes: object) -> None:
        """The first one's interface, with more addresses or other options."""
        mac = converge(self.own_jail, {**_BRIDGE, "addresses": ["10.77.0.11/24", "fd77::11/64", *more], **changes})[0][
            "mac"
        ]
        self.own = Station(mac, "10.77.0.11", "fd77::11", link_local(mac))

    def hears(self, *given: bytes) -> list[bytes]:
        """What the other hears of what the first one says."""
        with frames.listening(self.other_jail.pid, "eth0") as ear:
            frames.send(self.own_jail.pid, "eth0", *given)
            return ear.heard(*given)


@pytest.fixture
def pair(start: Callable[..., Jail]) -> Pair:
    """Wired as usual."""
    return Pair(start("web1", 1), start("db1", 2))


@pytest.mark.parametrize("lie", LIES, ids=str)
def test_lies_arrive_nowhere(pair: Pair, lie: Lie) -> None:
    said = lie.frames(pair.own, pair.other)
    assert said[-1] not in pair.hears(*said)
    pair.give(**dict([lie.switch]))
    assert pair.hears(*said) == said


def test_the_switches_open_only_what_they_are_for(pair: Pair) -> None:
    """A router may be one under its own address; and where nothing is asked of addresses, it is still no router."""
    for switch in (("spoof_protection", False), ("allow_router", True), ("allow_metadata", True)):
        pair.give(**dict([switch]))
        # What hides in fragments can be kept back only by who keeps back all that cannot be read.
        others = [lie for lie in LIES if lie.switch != switch and lie.name != "router-in-second-fragment"]
        assert pair.hears(*(lie.frames(pair.own, pair.other)[-1] for lie in others)) == []


def _honest(own: Station, other: Station) -> Iterator[bytes]:
    """What is sent by a jail that does what is usual."""
    for source, target in ((own.ipv4, other.ipv4), (own.ipv6, other.ipv6), (own.link_local, other.link_local)):
        yield frames.datagram(other.mac, own.mac, source, target, (9, 9))
        yield frames.echo_request(other.mac, own.mac, source, target)
    yield frames.datagram(frames.EVERYBODY, own.mac, own.ipv4, "10.77.0.255", (9, 9))
    yield frames.arp(frames.EVERYBODY, own.mac, 1, (own.mac, own.ipv4), other.ipv4)
    yield frames.arp(other.mac, own.mac, 2, (own.mac, own.ipv4), other.ipv4)
    yield frames.arp(frames.EVERYBODY, own.mac, 1, (own.mac, own.ipv4), own.ipv4)  # gratuitous
    yield frames.arp(frames.EVERYBODY, own.mac, 2, (own.mac, own.ipv4), own.ipv4)
    yield frames.arp(frames.EVERYBODY, own.mac, 1, (own.mac, "0.0.0.0"), own.ipv4)  # a probe
    yield frames.group_report(own.mac, own.ipv4)
    for address in (own.ipv6, own.link_local):
        yield frames.solicitation(own.mac, "::", address, None)  # duplicate address detection
        yield frames.solicitation(own.mac, address, other.ipv6, own.mac)
        yield frames.solicitation(own.mac, address, other.ipv6, None)
        yield frames.advertisement(own.mac, address, address, own.mac)
        yield frames.advertisement(own.mac, address, address, None)
    yield frames.listener_report(own.mac, own.link_local)
    yield frames.listener_report(own.mac, "::")


def test_what_is_its_own_arrives(pair: Pair) -> None:
    for frame in _honest(pair.own, pair.other):
        assert pair.hears(frame) == [frame], frame.hex()


def test_an_address_is_good_at_once_and_gone_at_once(pair: Pair) -> None:
    for address, more in (("10.77.0.13", "10.77.0.13/24"), ("fd77::13", "fd77::13/64")):
        target = pair.other.ipv6 if ":" in address else pair.other.ipv4
        frame = frames.datagram(pair.other.mac, pair.own.mac, address, target, (9, 9))
        assert pair.hears(frame) == []
        pair.give(more)
        assert pair.hears(frame) == [frame]
        pair.give()
        assert pair.hears(frame) == []


def test_a_mac_address_is_good_at_once_and_gone_at_once(pair: Pair) -> None:
    before = pair.own
    pair.give(mac="02:00:00:00:00:77")
    for station, arrives in ((pair.own, True), (before, False)):
        frame = frames.datagram(pair.other.mac, station.mac, station.ipv4, pair.other.ipv4, (9, 9))
        assert pair.hears(frame) == [frame] * arrives
    shown = run("ip -6 addr show eth0 scope link", pair.own_jail.pid)
    assert pair.own.link_local in shown
    assert before.link_local not in shown


def test_duplicate_addresses_are_found(pair: Pair) -> None:
    """By the kernel itself, through the filters of both."""
    converge(pair.other_jail, {**_BRIDGE, "addresses": ["10.77.0.12/24", "fd77::11/64"]})
    run("ip addr del fd77::11/64 dev eth0", pair.own_jail.pid)
    run("ip addr add fd77::11/64 dev eth0", pair.own_jail.pid)
    shown = ""
    for _try in range(50):
        shown = run("ip -6 addr show eth0", pair.own_jail.pid)
        if "dadfailed" in shown:
            break
        time.sleep(0.1)
    assert "dadfailed" in shown


@pytest.mark.parametrize("size", [3000, 60000])
@pytest.mark.parametrize("address", ["10.77.0.12", "fd77::12"])
def test_fragments_arrive(pair: Pair, address: str, size: int) -> None:
    assert frames.carried(pair.own_jail.pid, pair.other_jail.pid, address, size) == size
