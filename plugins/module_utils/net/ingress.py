# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may come out of a jail: the rules, in the words of nft(8), at the host's end of an interface. Pure.

They stand at the hook ``ingress``, before any bridge, router or rule of somebody else sees the frame. Nothing is
accepted before it is known to be the jail's own, and what cannot be read (headers that go on in another fragment, which
hide router advertisements: RFC 7113) is accepted by no rule.

Each rule has a comment with its name and a digest of its text, so that what stands can be compared whatever way a
version of nft writes it.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .addresses import Interface, hosts

ACCEPT, DROP = "accept", "drop"
_SPOOFING, _ROUTER, _METADATA = "own", "router", "metadata"

_LINK_LOCAL = ipaddress.ip_network("169.254.0.0/16")
# At these addresses clouds tell the host its own secrets, in its own segment or by a route of its own.
_METADATA4 = ("169.254.169.0/24", "169.254.170.0/24", "100.100.100.200")
_METADATA6 = ("fd00:ec2::/32", "fd20:ce::254", "fe80::a9fe:a9fe", "::ffff:a9fe:0/112", "64:ff9b::a9fe:0/112")

_ARP = "arp htype 1 arp ptype ip arp hlen 6 arp plen 4"
_ADVERTISE, _SOLICIT = "icmpv6 type nd-neighbor-advert", "icmpv6 type nd-neighbor-solicit"
# From the start of the ICMPv6 header (RFC 4861): the target of both, and the first option with its type and length.
_TARGET, _OPTION = "@th,64,128", "@th,192,64"
_BARE, _WITH_ADDRESS = "ip6 length 24", "ip6 length 32"


class Filter(NamedTuple):
    """What stands at one device: what happens to frames that no rule decides, and the rules' comments in order."""

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


def rules(interface: Interface) -> Rules:
    """What should stand at the host's end of an interface."""
    found = [*_always(), *_chosen(interface)]
    if interface["spoof_protection"]:
        found += [(_SPOOFING, text) for text in _only_its_own(interface)]
    return Rules(
        DROP if interface["spoof_protection"] else ACCEPT,
        [text for _name, text in found],
        [f"{name} {hashlib.sha256(text.encode()).hexdigest()[:16]}" for name, text in found],
    )


def describe(interface: Interface, there: Filter | None) -> Interface:
    """An interface with the switches that what stands at its host's end shows; ``spoof_protection`` is ``None`` when
    that is not what its addresses need."""
    names = {comment.partition(" ")[0] for comment in there.comments} if there else set()
    shown: Interface = {
        **interface,
        "spoof_protection": _SPOOFING in names,
        "allow_router": _ROUTER not in names,
        "allow_metadata": _METADATA not in names,
    }
    return shown if rules(shown).stands_as(there) else {**shown, "spoof_protection": None}


def _always() -> Iterator[tuple[str, str]]:
    # The host's own: one that lets packets to 127/8 be routed (route_localnet) must not let a jail's in.
    for network in ("ip daddr 127.0.0.0/8", "ip6 daddr ::1", "ip6 daddr ::ffff:127.0.0.0/104"):
        yield "loopback", f"{network} drop"


def _chosen(interface: Interface) -> Iterator[tuple[str, str]]:
    # A rule for each: a set of networks is read by nft whenever it changes anything.
    if not interface["allow_metadata"]:
        own = [ipaddress.ip_address(host) in _LINK_LOCAL for host in hosts(interface) if ":" not in host]
        for network in _METADATA4 if any(own) else (str(_LINK_LOCAL), *_METADATA4[2:]):
            yield _METADATA, f"ip daddr {network} drop"
        for network in _METADATA6:
            yield _METADATA, f"ip6 daddr {network} drop"
    if not interface["allow_router"]:
        yield _ROUTER, "icmpv6 type nd-router-advert drop"
        yield _ROUTER, "icmpv6 type nd-redirect drop"
        yield _ROUTER, "icmp type redirect drop"
        # Clients take an answer from whatever port it comes.
        for port in ("sport 67", "sport 547", "dport 68", "dport 546"):
            yield _ROUTER, f"udp {port} drop"


def _only_its_own(interface: Interface) -> Iterator[str]:
    mac = interface["mac"]
    own4 = [host for host in hosts(interface) if ":" not in host]
    own6 = [*(host for host in hosts(interface) if ":" in host), link_local(mac)]
    yield f"ether saddr != {mac} drop"
    # With a VLAN tag, whatever is in it, the type is the tag's.
    yield "ether type != { ip, arp, ip6 } drop"
    if own4:
        yield f"{_ARP} arp operation 1-2 arp saddr ether {mac} arp saddr ip {_set(own4)} accept"
        probe = f"arp saddr ip 0.0.0.0 arp daddr ip {_set(own4)}"  # RFC 5227
        yield f"{_ARP} arp operation request arp saddr ether {mac} {probe} accept"
        yield f"ip saddr {_set(own4)} accept"
    yield from _neighbour_discovery(mac, own6)
    # The comparison has no result, and the rule none, where the upper protocol cannot be found.
    yield f"meta l4proto 0-255 ip6 saddr {_set(own6)} accept"


def _neighbour_discovery(mac: str, own: Sequence[str]) -> Iterator[str]:
    """RFC 4861 and RFC 4862, in the shapes that the kernel sends, so that no second option says something else."""
    targets = _set(f"0x{int(ipaddress.ip_address(host)):032x}" for host in own)
    digits = mac.replace(":", "")
    yield f"ip6 saddr :: {_SOLICIT} {_TARGET} {targets} accept"
    yield "ip6 saddr :: ip6 daddr ff02::/16 icmpv6 type { mld-listener-report, mld2-listener-report } accept"
    yield f"ip6 saddr {_set(own)} {_ADVERTISE} {_TARGET} {targets} {_BARE} accept"
    yield f"ip6 saddr {_set(own)} {_ADVERTISE} {_TARGET} {targets} {_WITH_ADDRESS} {_OPTION} 0x0201{digits} accept"
    yield f"{_ADVERTISE} drop"
    yield f"ip6 saddr {_set(own)} {_SOLICIT} {_BARE} accept"
    yield f"ip6 saddr {_set(own)} {_SOLICIT} {_WITH_ADDRESS} {_OPTION} 0x0101{digits} accept"
    yield f"{_SOLICIT} drop"


def _set(elements: Iterable[str]) -> str:
    return f"{{ {', '.join(elements)} }}"
