# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ethernet frames that no jail may send, and an ear for what arrives."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
import time
from collections.abc import Iterator

from ansible_collections.cellblock.jails.tests.integration.support.networks import network_namespace

EVERYBODY = "ff:ff:ff:ff:ff:ff"
MARK = b"breakout"
"""In every frame."""

_ETH_P_ALL = 3
_ARP, _IPV4, _IPV6, _VLAN = 0x0806, 0x0800, 0x86DD, 0x8100
_UDP, _ICMPV6 = 17, 58
_ADVERTISE_ROUTER, _ADVERTISE_NEIGHBOUR = 134, 136
_OPTION = bytes((253, 2)) + MARK.ljust(14, b"\0")
"""An option that means nothing (RFC 4727). A bridge may cut off what follows a packet."""


def ethernet(to: str, sender: str, kind: int, payload: bytes) -> bytes:
    """A frame (IEEE 802.3)."""
    return _mac(to) + _mac(sender) + struct.pack("!H", kind) + payload + MARK


def arp_reply(to: str, sender: str, claimed: str, address: str) -> bytes:
    """The claim that an address is at a MAC address (RFC 826)."""
    head = struct.pack("!HHBBH", 1, _IPV4, 6, 4, 2)
    where = ipaddress.ip_address(address).packed
    return ethernet(to, sender, _ARP, head + _mac(claimed) + where + _mac(to) + where)


def datagram(to: str, sender: str, source: str, target: str, ports: tuple[int, int]) -> bytes:
    """A UDP datagram over IPv4 (RFC 768, RFC 791)."""
    udp = struct.pack("!HHHH", *ports, 8 + len(MARK), 0)
    length = 20 + len(udp) + len(MARK)
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    head = struct.pack("!BBHHHBBH", 0x45, 0, length, 0, 0, 64, _UDP, 0) + addresses
    head = head[:10] + struct.pack("!H", _sum(head)) + head[12:]
    return ethernet(to, sender, _IPV4, head + udp)


def router_advertisement(sender: str, source: str) -> bytes:
    """A router that asks to be everybody's (RFC 4861, section 4.2)."""
    return _icmpv6(sender, source, "ff02::1", 1, struct.pack("!BBHBBHII", _ADVERTISE_ROUTER, 0, 0, 64, 0, 1800, 0, 0))


def neighbour_advertisement(sender: str, address: str, claimed: str) -> bytes:
    """The claim that an IPv6 address is at a MAC address (RFC 4861, section 4.4), to override what is known."""
    body = struct.pack("!BBHI", _ADVERTISE_NEIGHBOUR, 0, 0, 1 << 29) + ipaddress.ip_address(address).packed
    return _icmpv6(sender, address, "ff02::1", 1, body + b"\x02\x01" + _mac(claimed))


def tagged(to: str, sender: str, vlan: int) -> bytes:
    """A frame of a VLAN (IEEE 802.1Q)."""
    return ethernet(to, sender, _VLAN, struct.pack("!HH", vlan, 0x88B5))


def _icmpv6(sender: str, source: str, target: str, group: int, body: bytes) -> bytes:
    body += _OPTION
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    pseudo = addresses + struct.pack("!II", len(body), _ICMPV6)
    body = body[:2] + struct.pack("!H", _sum(pseudo + body)) + body[4:]
    head = struct.pack("!IHBB", 6 << 28, len(body), _ICMPV6, 255) + addresses
    return ethernet(f"33:33:00:00:00:{group:02x}", sender, _IPV6, head + body)


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _sum(data: bytes) -> int:
    """The checksum of the Internet (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) // 2 * 2]))
    total += data[-1] << 8 if len(data) % 2 else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Ear:
    """Hears every frame that arrives at a device."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def heard(self, seconds: float = 0.5) -> list[bytes]:
        """The frames of ours that arrive within so much time."""
        found = []
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._end.settimeout(left)
            with contextlib.suppress(TimeoutError):
                frame, address = self._end.recvfrom(4096)
                if MARK in frame and address[2] != socket.PACKET_OUTGOING:
                    found.append(frame)
        return found


@contextlib.contextmanager
def listening(pid: int, device: str) -> Iterator[Ear]:
    """An ear at a device in the network namespace of a process, for a ``with`` block."""
    with network_namespace(pid):
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        end.bind((device, 0))
    with end:
        yield Ear(end)
