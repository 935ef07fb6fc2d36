# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ethernet frames as they are on the wire, honest and not, and an ear for what arrives."""

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
"""What every frame ends with, and some have in them."""

_ETH_P_ALL = 3
_ARP, _IPV4, _IPV6 = 0x0806, 0x0800, 0x86DD
VLAN, SERVICE_VLAN = 0x8100, 0x88A8
"""The two kinds of tags (IEEE 802.1Q, IEEE 802.1ad)."""
_EXPERIMENTAL = 0x88B5
_HOP_BY_HOP, _IGMP, _TCP, _UDP, _FRAGMENT, _ICMPV6, _DESTINATION_OPTIONS = 0, 2, 6, 17, 44, 58, 60
_ADVERTISE_ROUTER, _SOLICIT, _ADVERTISE, _REDIRECT, _LISTENER_REPORT = 134, 135, 136, 137, 143
_OVERRIDE = 1 << 29
_ALL_NODES = "ff02::1"


def ethernet(to: str, sender: str, kind: int, payload: bytes) -> bytes:
    """A frame (IEEE 802.3)."""
    return _mac(to) + _mac(sender) + struct.pack("!H", kind) + payload + MARK


def arp(to: str, sender: str, operation: int, claim: tuple[str, str], asked: str) -> bytes:
    """ARP (RFC 826): a request (1) or reply (2) that claims a MAC address and an IPv4 address for its sender."""
    head = struct.pack("!HHBBH", 1, _IPV4, 6, 4, operation)
    said = _mac(claim[0]) + ipaddress.ip_address(claim[1]).packed
    return ethernet(to, sender, _ARP, head + said + _mac(to) + ipaddress.ip_address(asked).packed)


def ipv4(to: str, sender: str, addresses: tuple[str, str], protocol: int, body: bytes, options: bytes = b"") -> bytes:
    """IPv4 (RFC 791)."""
    ends = b"".join(ipaddress.ip_address(each).packed for each in addresses)
    words, length = 5 + len(options) // 4, 20 + len(options) + len(body)
    head = struct.pack("!BBHHHBBH", 0x40 | words, 0, length, 0, 0, 64, protocol, 0) + ends + options
    return ethernet(to, sender, _IPV4, head[:10] + struct.pack("!H", _sum(head)) + head[12:] + body)


def datagram(to: str, sender: str, source: str, target: str, ports: tuple[int, int]) -> bytes:
    """A UDP datagram (RFC 768) over the one or the other IP, with no more than the mark in it."""
    udp = struct.pack("!HHHH", *ports, 8 + len(MARK), 0) + MARK
    if ":" not in source:
        return ipv4(to, sender, (source, target), _UDP, udp)
    udp = udp[:6] + struct.pack("!H", _sum(_pseudo((source, target), len(udp), _UDP) + udp)) + udp[8:]
    return ipv6(to, sender, (source, target), _UDP, udp)


def connection(to: str, sender: str, addresses: tuple[str, str], ports: tuple[int, int]) -> bytes:
    """The first packet of a TCP connection (RFC 9293) over IPv4."""
    head = struct.pack("!HHIIBBHHH", *ports, 1, 0, 5 << 4, 2, 1024, 0, 0)
    ends = b"".join(ipaddress.ip_address(each).packed for each in addresses)
    checksum = _sum(ends + struct.pack("!HH", _TCP, len(head)) + head)
    return ipv4(to, sender, addresses, _TCP, head[:16] + struct.pack("!H", checksum) + head[18:])


def icmp_redirect(to: str, sender: str, source: str, target: str) -> bytes:
    """A router's word that another one is nearer (RFC 792)."""
    body = struct.pack("!BBH", 5, 1, 0) + ipaddress.ip_address(source).packed + bytes(28)
    return ipv4(to, sender, (source, target), 1, body[:2] + struct.pack("!H", _sum(body)) + body[4:])


def group_report(sender: str, source: str) -> bytes:
    """That somebody listens to a group (IGMPv3, RFC 3376)."""
    body = struct.pack("!BBHHH", 0x22, 0, 0, 0, 1) + struct.pack("!BBH4s", 4, 0, 0, b"\xef\x01\x01\x01")
    body = body[:2] + struct.pack("!H", _sum(body)) + body[4:]
    return ipv4("01:00:5e:00:00:16", sender, (source, "224.0.0.22"), _IGMP, body, b"\x94\x04\0\0")


def ipv6(to: str, sender: str, addresses: tuple[str, str], protocol: int, body: bytes) -> bytes:
    """IPv6 (RFC 8200)."""
    ends = b"".join(ipaddress.ip_address(each).packed for each in addresses)
    return ethernet(to, sender, _IPV6, struct.pack("!IHBB", 6 << 28, len(body), protocol, 255) + ends + body)


def router_advertisement(sender: str, source: str, *, hidden: str = "") -> list[bytes]:
    """A router that asks to be everybody's (RFC 4861, section 4.2), as it is or hidden from filters (RFC 7113): behind
    ``options``, in a ``fragment``, or in the ``second`` of two, of which the first has only headers."""
    body = icmpv6((source, _ALL_NODES), struct.pack("!BBHBBHII", _ADVERTISE_ROUTER, 0, 0, 64, 0, 1800, 0, 0))
    options = struct.pack("!BB6x", _ICMPV6, 0)
    parts = {
        "": [(_ICMPV6, body)],
        "options": [(_DESTINATION_OPTIONS, options + body)],
        "fragment": [(_FRAGMENT, _fragment(_ICMPV6, 0, False) + body)],
        "second": [
            (_FRAGMENT, _fragment(_DESTINATION_OPTIONS, 0, True) + options),
            (_FRAGMENT, _fragment(_DESTINATION_OPTIONS, len(options), False) + body),
        ],
    }
    return [ipv6(_group(_ALL_NODES), sender, (source, _ALL_NODES), *part) for part in parts[hidden]]


def redirect(sender: str, source: str, target: str) -> bytes:
    """A router's word that an address is next door (RFC 4861, section 4.5)."""
    there = ipaddress.ip_address(target).packed
    return _multicast(sender, (source, _ALL_NODES), icmpv6((source, _ALL_NODES), _head(_REDIRECT) + there + there))


def advertisement(sender: str, source: str, address: str, claimed: str | None) -> bytes:
    """The claim that an IPv6 address is at a MAC address (RFC 4861, section 4.4), to override what is known."""
    body = _head(_ADVERTISE, _OVERRIDE) + ipaddress.ip_address(address).packed
    body += b"\x02\x01" + _mac(claimed) if claimed else b""
    return _multicast(sender, (source, _ALL_NODES), icmpv6((source, _ALL_NODES), body))


def solicitation(sender: str, source: str, address: str, claimed: str | None) -> bytes:
    """The question who has an IPv6 address (RFC 4861, section 4.3); of nobody (``::``) that of who wants to have it."""
    target = str(ipaddress.IPv6Address(int(ipaddress.ip_address("ff02::1:ff00:0")) | _low(address)))
    body = _head(_SOLICIT) + ipaddress.ip_address(address).packed + (b"\x01\x01" + _mac(claimed) if claimed else b"")
    return _multicast(sender, (source, target), icmpv6((source, target), body))


def listener_report(sender: str, source: str) -> bytes:
    """That somebody listens to a group (MLDv2, RFC 3810), behind the option that routers are to look at it."""
    ends = (source, "ff02::16")
    record = struct.pack("!BBH", 4, 0, 0) + ipaddress.ip_address("ff02::fb").packed
    alert = struct.pack("!BBBBHBB", _ICMPV6, 0, 5, 2, 0, 1, 0)
    report = icmpv6(ends, struct.pack("!BBHHH", _LISTENER_REPORT, 0, 0, 0, 1) + record)
    return ipv6(_group(ends[1]), sender, ends, _HOP_BY_HOP, alert + report)


def echo_request(to: str, sender: str, source: str, target: str) -> bytes:
    """A ping over the one or the other IP (RFC 792, RFC 4443)."""
    if ":" in source:
        return ipv6(
            to, sender, (source, target), _ICMPV6, icmpv6((source, target), struct.pack("!BBHHH", 128, 0, 0, 1, 1))
        )
    body = struct.pack("!BBHHH", 8, 0, 0, 1, 1)
    return ipv4(to, sender, (source, target), 1, body[:2] + struct.pack("!H", _sum(body)) + body[4:])


def tagged(to: str, sender: str, *tags: tuple[int, int], inner: bytes = b"") -> bytes:
    """A frame of a VLAN, or of one in another: kinds and numbers of the tags from outside in; in it another frame's
    packet, or nothing that is known."""
    packet = inner[12:] if inner else struct.pack("!H", _EXPERIMENTAL)
    for kind, number in reversed(tags):
        packet = struct.pack("!HH", kind, number) + packet
    return ethernet(to, sender, int.from_bytes(packet[:2], "big"), packet[2:])


def bridge_message(sender: str) -> bytes:
    """A bridge that says it is the best (IEEE 802.1D): a frame with a length for a type."""
    body = b"\x42\x42\x03" + bytes(35) + MARK
    return ethernet("01:80:c2:00:00:00", sender, len(body), body)


def icmpv6(addresses: tuple[str, str], body: bytes) -> bytes:
    """Its message (RFC 4443) with its checksum."""
    return body[:2] + struct.pack("!H", _sum(_pseudo(addresses, len(body), _ICMPV6) + body)) + body[4:]


def _multicast(sender: str, addresses: tuple[str, str], message: bytes) -> bytes:
    return ipv6(_group(addresses[1]), sender, addresses, _ICMPV6, message)


def _head(kind: int, flags: int = 0) -> bytes:
    return struct.pack("!BBHI", kind, 0, 0, flags)


def _fragment(protocol: int, offset: int, more: bool) -> bytes:
    return struct.pack("!BBHI", protocol, 0, offset | int(more), 0x626B6F74)


def _pseudo(addresses: tuple[str, str], length: int, protocol: int) -> bytes:
    return b"".join(ipaddress.ip_address(each).packed for each in addresses) + struct.pack("!II", length, protocol)


def _low(address: str) -> int:
    return int(ipaddress.ip_address(address)) & 0xFFFFFF


def _group(address: str) -> str:
    """The MAC address of an IPv6 group (RFC 2464)."""
    return "33:33:" + ":".join(f"{octet:02x}" for octet in ipaddress.ip_address(address).packed[-4:])


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

    def heard(self, *sent: bytes, seconds: float = 0.3) -> list[bytes]:
        """Those of the frames that arrive within so much time."""
        found: list[bytes] = []
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and len(found) < len(sent):
            self._end.settimeout(left)
            with contextlib.suppress(TimeoutError):
                frame, address = self._end.recvfrom(1 << 16)
                if address[2] != socket.PACKET_OUTGOING:
                    found += [each for each in sent if each not in found and _is_same(each, frame)]
        return found

    def hears_from(self, address: str, port: int, seconds: float = 0.5) -> bool:
        """Whether an IPv4 packet from there arrives, of a protocol with ports."""
        source = ipaddress.ip_address(address).packed
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._end.settimeout(left)
            with contextlib.suppress(TimeoutError):
                frame = self._end.recv(1 << 16)
                if frame[26:30] == source and frame[34:36] == struct.pack("!H", port):
                    return True
        return False


def _is_same(sent: bytes, heard: bytes) -> bool:
    """What follows a packet may be cut off on the way, and who listens gets no tags."""
    if sent[:12] != heard[:12]:
        return False
    if int.from_bytes(sent[12:14], "big") in (VLAN, SERVICE_VLAN):
        return MARK in heard
    return heard.startswith(sent[: -len(MARK)])


def send(pid: int, device: str, *given: bytes) -> None:
    """Send frames as they are, by a device in the network namespace of a process."""
    with network_namespace(pid):
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        end.bind((device, 0))
    with end:
        for frame in given:
            end.send(frame)


def carried(sender: int, receiver: int, address: str, size: int) -> int:
    """How much arrives of a datagram so large, from process to process at an address of its network namespace."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with network_namespace(receiver):
        end = socket.socket(family, socket.SOCK_DGRAM)
        end.bind((address, 0))
        end.settimeout(2)
    with network_namespace(sender):
        start = socket.socket(family, socket.SOCK_DGRAM)
    with end, start:
        start.sendto(bytes(size), end.getsockname())
        return len(end.recv(1 << 16))


@contextlib.contextmanager
def listening(pid: int, device: str) -> Iterator[Ear]:
    """An ear at a device in the network namespace of a process, for a ``with`` block."""
    with network_namespace(pid):
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        end.bind((device, 0))
    with end:
        yield Ear(end)
