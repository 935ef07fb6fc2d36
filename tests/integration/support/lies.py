# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a jail that may send any frame could say, and must not."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from . import frames
from .frames import EVERYBODY, advertisement, arp, datagram, solicitation, tagged

FOREIGN = "02:aa:aa:aa:aa:aa"
NOBODYS = ("10.77.0.77", "fd77::77")
NOBODYS_LINK_LOCAL = "fe80::77"


class Station(NamedTuple):
    """Somebody on a network, by its own addresses."""

    mac: str
    ipv4: str
    ipv6: str
    link_local: str


class Lie(NamedTuple):
    """Frames that are not to arrive.

    :param row: of the catalogue.
    :param switch: the option that lets them pass, with the value for it.
    """

    row: int
    name: str
    frames: Callable[[Station, Station], list[bytes]]
    """From who sends and who is to hear them; the neighbour stands for the gateway too."""
    switch: tuple[str, bool] = ("spoof_protection", False)

    def __str__(self) -> str:
        return self.name


def _router(hidden: str) -> Callable[[Station, Station], list[bytes]]:
    return lambda own, _other: frames.router_advertisement(own.mac, own.link_local, hidden=hidden)


_ROUTER = ("allow_router", True)
_TAG, _SERVICE = (frames.VLAN, 7), (frames.SERVICE_VLAN, 8)

LIES = (
    Lie(43, "MAC", lambda me, you: [datagram(you.mac, FOREIGN, me.ipv4, you.ipv4, (9, 9))]),
    Lie(
        43,
        "MAC-of-neighbour",
        lambda me, you: [datagram(EVERYBODY, FOREIGN, me.ipv4, you.ipv4, (9, 9))],
    ),
    Lie(43, "IPv4", lambda me, you: [datagram(you.mac, me.mac, NOBODYS[0], you.ipv4, (9, 9))]),
    Lie(
        43,
        "IPv4-of-neighbour",
        lambda me, you: [datagram(you.mac, me.mac, you.ipv4, you.ipv4, (9, 9))],
    ),
    Lie(
        43,
        "IPv4-of-nobody",
        lambda me, you: [datagram(you.mac, me.mac, "0.0.0.0", "255.255.255.255", (9, 9))],
    ),
    Lie(43, "IPv6", lambda me, you: [datagram(you.mac, me.mac, NOBODYS[1], you.ipv6, (9, 9))]),
    Lie(
        43,
        "IPv6-link-local",
        lambda me, you: [datagram(you.mac, me.mac, NOBODYS_LINK_LOCAL, you.ipv6, (9, 9))],
    ),
    Lie(43, "IPv6-of-nobody", lambda me, you: [datagram(you.mac, me.mac, "::", you.ipv6, (9, 9))]),
    Lie(43, "ARP-reply", lambda me, you: [arp(you.mac, me.mac, 2, (me.mac, NOBODYS[0]), you.ipv4)]),
    Lie(
        43,
        "ARP-request",
        lambda me, you: [arp(EVERYBODY, me.mac, 1, (me.mac, NOBODYS[0]), you.ipv4)],
    ),
    Lie(
        43,
        "ARP-gratuitous",
        lambda me, _: [arp(EVERYBODY, me.mac, 1, (me.mac, NOBODYS[0]), NOBODYS[0])],
    ),
    Lie(
        43,
        "ARP-of-foreign-MAC",
        lambda me, you: [arp(you.mac, me.mac, 2, (FOREIGN, me.ipv4), you.ipv4)],
    ),
    Lie(
        43,
        "ARP-probe-for-neighbour",
        lambda me, you: [arp(EVERYBODY, me.mac, 1, (me.mac, "0.0.0.0"), you.ipv4)],
    ),
    Lie(
        43,
        "ARP-reply-of-nobody",
        lambda me, you: [arp(you.mac, me.mac, 2, (me.mac, "0.0.0.0"), me.ipv4)],
    ),
    Lie(43, "NDP-advertisement", lambda me, _: [advertisement(me.mac, me.ipv6, NOBODYS[1], me.mac)]),
    Lie(
        43,
        "NDP-advertisement-as-other",
        lambda me, _: [advertisement(me.mac, NOBODYS[1], NOBODYS[1], me.mac)],
    ),
    Lie(43, "NDP-of-foreign-MAC", lambda me, _: [advertisement(me.mac, me.ipv6, me.ipv6, FOREIGN)]),
    Lie(
        43,
        "NDP-solicitation-of-foreign-MAC",
        lambda me, you: [solicitation(me.mac, me.ipv6, you.ipv6, FOREIGN)],
    ),
    Lie(
        43,
        "NDP-solicitation-as-other",
        lambda me, you: [solicitation(me.mac, NOBODYS[1], you.ipv6, me.mac)],
    ),
    Lie(43, "DAD-for-neighbour", lambda me, you: [solicitation(me.mac, "::", you.ipv6, None)]),
    Lie(
        43,
        "DAD-answer-for-neighbour",
        lambda me, you: [advertisement(me.mac, me.link_local, you.ipv6, None)],
    ),
    Lie(44, "router", _router(""), _ROUTER),
    Lie(44, "router-behind-options", _router("options"), _ROUTER),
    Lie(44, "router-in-fragment", _router("fragment"), _ROUTER),
    Lie(44, "router-in-second-fragment", _router("second")),
    Lie(44, "redirect", lambda me, you: [frames.redirect(me.mac, me.link_local, you.ipv6)], _ROUTER),
    Lie(
        44,
        "redirect-IPv4",
        lambda me, you: [frames.icmp_redirect(you.mac, me.mac, me.ipv4, you.ipv4)],
        _ROUTER,
    ),
    Lie(
        44,
        "DHCP",
        lambda me, _: [datagram(EVERYBODY, me.mac, me.ipv4, "255.255.255.255", (67, 68))],
        _ROUTER,
    ),
    Lie(
        44,
        "DHCP-from-elsewhere",
        lambda me, you: [datagram(you.mac, me.mac, me.ipv4, you.ipv4, (9, 68))],
        _ROUTER,
    ),
    Lie(
        44,
        "DHCP-for-relay",
        lambda me, you: [datagram(you.mac, me.mac, me.ipv4, you.ipv4, (67, 67))],
        _ROUTER,
    ),
    Lie(
        44,
        "DHCPv6",
        lambda me, you: [datagram(you.mac, me.mac, me.link_local, you.link_local, (547, 546))],
        _ROUTER,
    ),
    Lie(44, "VLAN", lambda me, you: [tagged(you.mac, me.mac, _TAG)]),
    Lie(44, "service-VLAN", lambda me, you: [tagged(you.mac, me.mac, _SERVICE)]),
    Lie(44, "QinQ", lambda me, you: [tagged(you.mac, me.mac, _SERVICE, _TAG)]),
    Lie(44, "VLAN-in-VLAN", lambda me, you: [tagged(you.mac, me.mac, _TAG, _TAG)]),
    Lie(
        44,
        "priority-tag",
        lambda me, you: [
            tagged(
                you.mac,
                me.mac,
                (frames.VLAN, 0),
                inner=datagram(you.mac, me.mac, me.ipv4, you.ipv4, (9, 9)),
            )
        ],
    ),
    Lie(44, "bridge", lambda me, _: [frames.bridge_message(me.mac)]),
)
