# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes out of a jail with an interface that does not pass the host: nothing but its own, however it is sent."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.net.ingress import link_local
from ansible_collections.cellblock.jails.tests.integration.support import frames
from ansible_collections.cellblock.jails.tests.integration.support.lies import LIES, Lie, Station
from ansible_collections.cellblock.jails.tests.integration.support.networks import network_namespace
from ansible_collections.cellblock.jails.tests.integration.support.wiring import Jail, converge, read, run

_SOL_PACKET, _PACKET_QDISC_BYPASS = 263, 20  # linux/socket.h, linux/if_packet.h
_PROTOCOLS = (0x0800, 0x0806, 0x86DD)
_BRIDGES = bytes.fromhex("0180c2000000")
_OWN = ["10.77.0.11/24", "fd77::11/64"]


class Pair:
    """A jail, and another one that hears it."""

    def __init__(self, own: Jail, other: Jail, kind: str) -> None:
        self.own_jail, self.other_jail, self._kind = own, other, kind
        self.give()
        if kind == "macvlan":
            there = {"type": "macvlan", "parent": "card", "name": "eth0", "addresses": ["10.77.0.12/24", "fd77::12/64"]}
            converge(other, there)
        else:
            run(f"ip link set wire netns {other.pid} name eth0 up")
        mac = _mac(other)
        self.other = Station(mac, "10.77.0.12", "fd77::12", link_local(mac))

    def give(self, **changes: object) -> None:
        """The first one's interface, with other options."""
        converge(self.own_jail, {"name": "eth0", "type": self._kind, "parent": "card", "addresses": _OWN, **changes})
        mac = _mac(self.own_jail)
        self.own = Station(mac, "10.77.0.11", "fd77::11", link_local(mac))

    def hears(self, *given: bytes, protocol: int = 0, bypass: bool = False) -> list[bytes]:
        """What the other hears of what the first one says by a socket that passes the queue by, or says that its frames
        are of this protocol."""
        # Between macvlan devices the kernel carries no bridge's own frames: what leaves by the cable counts.
        wired = self._kind == "macvlan" and given[0].startswith(_BRIDGES)
        place = (os.getpid(), "wire") if wired else (self.other_jail.pid, "eth0")
        with frames.listening(*place) as ear:
            with network_namespace(self.own_jail.pid):
                mouth = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            with mouth:
                mouth.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, int(bypass))
                for frame in given:
                    _send(mouth, frame, protocol)
            return ear.heard(*given, seconds=0.15)


def _send(mouth: socket.socket, frame: bytes, protocol: int) -> None:
    try:
        mouth.sendto(frame, ("eth0", protocol))
    except OSError as error:
        if error.errno != errno.ENOBUFS:  # as which a packet socket hears that its frame was dropped
            raise


def _mac(jail: Jail) -> str:
    return run("ip -o link show eth0", jail.pid).split("link/ether ")[1].split()[0]


@pytest.fixture(params=["macvlan", "phys"])
def pair(
    start: Callable[..., Jail], request: pytest.FixtureRequest, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> Pair:
    """Each type in turn, on a device with a cable."""
    monkeypatch.setattr(layout, "BORROWED", f"{tmp_path}/borrowed.json")
    run("ip link add card type veth peer name wire")
    run("ip link set card up")
    run("ip link set wire up")
    return Pair(start("web1", 1), start("db1", 2), str(request.param))


@pytest.mark.parametrize("lie", LIES, ids=str)
def test_lies_arrive_nowhere(pair: Pair, lie: Lie) -> None:
    said = lie.frames(pair.own, pair.other)
    for bypass in (False, True):
        assert said[-1] not in pair.hears(*said, bypass=bypass)
    for protocol in _PROTOCOLS:
        assert said[-1] not in pair.hears(*said, protocol=protocol)
    pair.give(**dict([lie.switch]))
    for bypass in (False, True):
        assert pair.hears(*said, bypass=bypass) == said


def test_what_is_its_own_arrives_but_not_as_something_else(pair: Pair) -> None:
    own, other = pair.own, pair.other
    for frame, protocol in (
        (frames.datagram(other.mac, own.mac, own.ipv4, other.ipv4, (9, 9)), 0x0800),
        (frames.datagram(other.mac, own.mac, own.ipv6, other.ipv6, (9, 9)), 0x86DD),
        (frames.arp(other.mac, own.mac, 2, (own.mac, own.ipv4), other.ipv4), 0x0806),
    ):
        wrong = [each for each in _PROTOCOLS if each != protocol]
        for bypass in (False, True):
            assert pair.hears(frame, protocol=protocol, bypass=bypass) == [frame]
            for each in wrong:
                assert pair.hears(frame, protocol=each, bypass=bypass) == []
    # The control: by what stands in the jail's network, and by nothing else.
    frame = frames.arp(other.mac, own.mac, 2, (own.mac, "10.77.0.77"), other.ipv4)
    for command in ("nft flush chain netdev jails if-eth0", "nft add chain netdev jails if-eth0 '{ policy accept; }'"):
        run(command, pair.own_jail.pid)
    assert pair.hears(frame, protocol=0x0800) == [frame]
    assert read(pair.own_jail)[0]["spoof_protection"] is None
    pair.give()
    assert pair.hears(frame, protocol=0x0800) == []
