# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may come out of a jail: the rules, in the words of nft(8), at the host's end of an interface. Pure.

They stand at the hook ``ingress``, before any bridge, router or rule of somebody else sees the frame. Nothing is
accepted before it is known to be the jail's own, and what cannot be read (headers that go on in another fragment, which
hide router advertisements: RFC 7113) is accepted by no rule.

What does not depend on the jail stands once, in chains that those of all interfaces call. An interface has a chain at
its hook, and one for what has an IPv6 address of its own. None has a set without a name: whenever nft changes anything
it reads all of those there are.

Each rule has a comment with its name and a digest of its text, so that what stands can be compared whatever way a
version of nft writes it.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from .. import rates
from .addresses import Interface, carried, has_host_end, hosts

ACCEPT, DROP, NONE = "accept", "drop", "none"
_SPOOFING, _ROUTER, _METADATA, _RATE, _PACKETS = "own", "router", "metadata", "rate", "packets"

_LINK_LOCAL = ipaddress.ip_network("169.254.0.0/16")
# At these addresses clouds tell the host its own secrets, in its own segment or by a route of its own.
_METADATA4 = ("169.254.169.0/24", "169.254.170.0/24", "100.100.100.200")
_METADATA6 = ("fd00:ec2::/32", "fd20:ce::254", "fe80::a9fe:a9fe", "::ffff:a9fe:0/112", "64:ff9b::a9fe:0/112")

_ARP = "arp htype 1 arp ptype ip arp hlen 6 arp plen 4"
_ADVERTISE, _SOLICIT = "icmpv6 type nd-neighbor-advert", "icmpv6 type nd-neighbor-solicit"
# From the start of the ICMPv6 header (RFC 4861): the target of both, and the first option with its type and length.
_TARGET, _OPTION = "@th,64,128", "@th,192,64"
_WHOLE = 65536  # bytes of a TCP segment that is cut later
_FIRST_FLIGHT = 10  # packets with which a TCP connection begins (RFC 6928)
_BARE, _WITH_ADDRESS = "ip6 length 24", "ip6 length 32"

_NOT_IPV6 = "meta protocol != ip6 return"


class Filter(NamedTuple):
    """What stands in one chain: what happens to frames that no rule decides (:data:`NONE` where that is another's to
    say), and the rules' comments in order."""

    policy: str
    comments: tuple[str, ...]


class Rules(NamedTuple):
    """What should stand there."""

    policy: str
    texts: Sequence[str]
    """Rules without their comments."""
    comments: Sequence[str]

    def stands_as(self, there: Filter | None) -> bool:
        """Whether this is there."""
        return there == Filter(self.policy, tuple(self.comments))


def link_local(mac: str) -> str:
    """The link-local address that the kernel gives an interface with this MAC address (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return str(ipaddress.IPv6Address(bytes.fromhex("fe80000000000000") + identifier))


def chains(device: str) -> list[str]:
    """The names of the chains of an interface, by its host's end: that at the hook, and that for IPv6."""
    return [device, f"{device}/6"]


def rules(device: str, interface: Interface) -> dict[str, Rules]:
    """What should stand in the chains of an interface. An interface that may send anything has the first alone."""
    first, second = chains(device)
    found = [*_bounds(interface), *_chosen(interface)]
    if not interface["spoof_protection"]:
        return {first: _rules(ACCEPT, found)}
    found += [(_SPOOFING, text) for text in _only_its_own(interface, second)]
    return {
        first: _rules(DROP, found),
        second: _rules(NONE, ((_SPOOFING, text) for text in _as_itself(interface))),
    }


def _rules(policy: str, named: Iterable[tuple[str, str]]) -> Rules:
    found = list(named)
    return Rules(
        policy,
        [text for _name, text in found],
        [f"{name} {hashlib.sha256(text.encode()).hexdigest()[:16]}" for name, text in found],
    )


def describe(device: str, interface: Interface, there: Mapping[str, Filter]) -> Interface:
    """An interface with the switches that what stands shows; ``spoof_protection`` is ``None`` when that is not what its
    addresses need, and ``rate_out`` when it is not what the jail's own queue has.

    :param there: by chain, those of all interfaces among them.
    """
    comments = there[device].comments if device in there else ()
    said = [comment.partition(" ")[0].partition("=") for comment in comments]
    names = {name: value for name, _equals, value in said}
    held = names.get(_RATE, rates.UNLIMITED) if has_host_end(interface) else interface["rate_out"]
    shown: Interface = {
        **interface,
        "spoof_protection": _SPOOFING in names,
        "allow_router": _ROUTER not in names,
        "allow_metadata": _METADATA not in names,
        "rate_out": held if held and rates.is_canonical(held) else rates.UNLIMITED,
        "packets_max": int(names[_PACKETS]) if names.get(_PACKETS, "").isdecimal() else 0,
    }
    stands = all(each.stands_as(there.get(chain)) for chain, each in {**SHARED, **rules(device, shown)}.items())
    return {
        **shown,
        "spoof_protection": shown["spoof_protection"] if stands else None,
        "rate_out": held if held == interface["rate_out"] else None,
    }


def _bounds(interface: Interface) -> Iterator[tuple[str, str]]:
    """How much may come, first of all: what is too much costs no more than to see that.

    What has waited in the jail's own queue (:mod:`shaping`) is never too much here, for a bucket of nf_tables for bytes
    holds what comes in a second besides its burst. A frame that leaves the jail in one piece, to be cut into packets
    later, counts once.
    """
    # In the jail itself this would stand before the queue.
    rate = rates.parse(interface["rate_out"]) if has_host_end(interface) else None
    if rate is not None:
        yield f"{_RATE}={rates.show(rate)}", f"limit rate over {rate} bytes/second burst {_WHOLE} bytes drop"
    number = interface["packets_max"]
    if number:
        burst = max(number // 10, _FIRST_FLIGHT)
        yield f"{_PACKETS}={number}", f"limit rate over {number}/second burst {burst} packets drop"


def _chosen(interface: Interface) -> Iterator[tuple[str, str]]:
    yield "loopback", "jump to-loopback"
    if not interface["allow_metadata"]:
        own = [ipaddress.ip_address(host) in _LINK_LOCAL for host in hosts(interface) if ":" not in host]
        gateway = [each.partition("/")[0] for each in carried(interface) if ":" not in each]
        if any(own):
            yield _METADATA, "jump to-metadata"
        elif gateway and ipaddress.ip_address(gateway[0]) in _LINK_LOCAL:
            yield _METADATA, f"ip daddr != {gateway[0]} jump to-link-local"
            yield _METADATA, "meta protocol != ip jump to-link-local"
        else:
            yield _METADATA, "jump to-link-local"
    if not interface["allow_router"]:
        yield _ROUTER, "jump as-router"


def _to_loopback() -> Iterator[str]:
    # The host's own: one that lets packets to 127/8 be routed (route_localnet) must not let a jail's in.
    yield "ip daddr 127.0.0.0/8 drop"
    yield _NOT_IPV6
    yield "ip6 daddr ::1 drop"
    yield "ip6 daddr ::ffff:127.0.0.0/104 drop"


def _to_metadata(networks: Iterable[str]) -> Iterator[str]:
    # A rule for each: a set of networks is read by nft whenever it changes anything.
    yield from (f"ip daddr {network} drop" for network in networks)
    yield _NOT_IPV6
    yield from (f"ip6 daddr {network} drop" for network in _METADATA6)


def _as_router() -> Iterator[str]:
    yield "meta l4proto tcp return"
    yield "icmpv6 type nd-router-advert drop"
    yield "icmpv6 type nd-redirect drop"
    yield "icmp type redirect drop"
    # Clients take an answer from whatever port it comes.
    yield from (f"udp {port} drop" for port in ("sport 67", "sport 547", "dport 68", "dport 546"))


SHARED: Mapping[str, Rules] = {
    name: _rules(NONE, ((name, text) for text in texts))
    for name, texts in (
        ("to-loopback", _to_loopback()),
        ("to-metadata", _to_metadata(_METADATA4)),
        ("to-link-local", _to_metadata((str(_LINK_LOCAL), *_METADATA4[2:]))),
        ("as-router", _as_router()),
    )
}
"""The chains that those of interfaces call."""


def _only_its_own(interface: Interface, ipv6: str) -> Iterator[str]:
    """
    :param ipv6: the chain for what has an IPv6 address of its own.
    """
    mac = interface["mac"]
    own4 = [host for host in hosts(interface) if ":" not in host]
    own6 = _own6(interface)
    yield f"ether saddr != {mac} drop"
    # With a VLAN tag, whatever is in it, the type is the tag's.
    yield "ether type != ip ether type != arp ether type != ip6 drop"
    yield from (f"ip saddr {host} accept" for host in own4)
    yield from (f"ip6 saddr {host} goto {ipv6}" for host in own6)
    for host in own4:
        yield f"{_ARP} arp operation 1-2 arp saddr ether {mac} arp saddr ip {host} accept"
        probe = f"arp saddr ip 0.0.0.0 arp daddr ip {host}"  # RFC 5227
        yield f"{_ARP} arp operation request arp saddr ether {mac} {probe} accept"
    yield from (f"ip6 saddr :: {_SOLICIT} {_TARGET} {_number(host)} accept" for host in own6)
    for report in ("mld-listener-report", "mld2-listener-report"):
        yield f"ip6 saddr :: ip6 daddr ff02::/16 icmpv6 type {report} accept"


def _own6(interface: Interface) -> list[str]:
    own = [host for host in hosts(interface) if ":" in host]
    # An ipvlan interface has none: its parent's follows from the same MAC address.
    return own if interface["type"] == "ipvlan" else [*own, link_local(interface["mac"])]


def _as_itself(interface: Interface) -> Iterator[str]:
    """Under an IPv6 address of its own: all that can be read, and of neighbour discovery (RFC 4861 and RFC 4862) the
    shapes that the kernel sends, so that no second option says something else."""
    # The comparison has no result, and the rule none, where the upper protocol cannot be found.
    yield "meta l4proto != ipv6-icmp accept"
    digits = interface["mac"].replace(":", "")
    for host in _own6(interface):
        yield f"{_ADVERTISE} {_TARGET} {_number(host)} {_BARE} accept"
        yield f"{_ADVERTISE} {_TARGET} {_number(host)} {_WITH_ADDRESS} {_OPTION} 0x0201{digits} accept"
    yield f"{_ADVERTISE} drop"
    yield f"{_SOLICIT} {_BARE} accept"
    yield f"{_SOLICIT} {_WITH_ADDRESS} {_OPTION} 0x0101{digits} accept"
    yield f"{_SOLICIT} drop"
    yield "meta l4proto ipv6-icmp accept"


def _number(host: str) -> str:
    return f"0x{int(ipaddress.ip_address(host)):032x}"
