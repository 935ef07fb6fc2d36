# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of the host that lead into a jail: what a user says of them, and what follows from it. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

from .addresses import Interface, IPNetwork, hosts

PROTOCOLS = ("tcp", "udp", "sctp")
_PORT_MAX = 65535
_EVERY = {"0.0.0.0": 4, "::": 6}
"""All of the host's addresses of one version of IP."""


class Forward(TypedDict):
    """One entry of the option ``publish``: the canonical form, of what is wanted and of what is there alike."""

    host_address: str | None
    """``None``: all of the host's addresses; ``0.0.0.0`` and ``::`` those of one version of IP."""
    host_port: str
    """A number, or the first and the last one: ``8000-8010``."""
    jail_port: str
    """As many."""
    jail_address: str | None
    interface: str | None
    """At most one of the two: ``None`` for what :func:`doors` chooses."""
    protocol: str


class Door(NamedTuple):
    """Where the host is knocked at.

    :param address: empty for each of its addresses.
    """

    version: int
    protocol: str
    address: str
    port: int


class Target(NamedTuple):
    """Where that leads: an address and a port of a jail."""

    address: str
    port: int


class Reach(NamedTuple):
    """What the host has to have for a jail's forwards.

    :param near: by target's address the networks from which a client would be answered by another way than the host:
        those that the jail is in itself.
    :param loopback: the bridges by which what comes from the host's own loopback leaves, by version of IP.
    :param ports: the jail's interfaces that a forward leads to.
    """

    doors: Mapping[Door, Target]
    near: Mapping[str, frozenset[str]]
    loopback: Mapping[int, frozenset[str]]
    ports: frozenset[str]

    def versions(self) -> set[int]:
        """Of IP, those that are forwarded."""
        return {door.version for door in self.doors}


NOTHING = Reach({}, {}, {}, frozenset())


def parse(value: Iterable[Mapping[str, Any]]) -> list[Forward]:
    """The canonical form of the option, in a fixed order.

    :raises ValueError: with a sentence that says which entry is wrong, and how.
    """
    found = [_parse_one(each) for each in value]
    found.sort(key=_position)
    for (_own_name, one), (_same_name, other), shared in _clashes([("", each) for each in found]):
        raise ValueError(f"{name_of(one)} and {name_of(other)} both publish {shared}")
    return found


def _position(forward: Forward) -> tuple[str, tuple[int, int], str]:
    return forward["protocol"], _numbers(forward["host_port"]), forward["host_address"] or ""


def name_of(forward: Forward) -> str:
    """An entry in few words: ``tcp 192.0.2.1 port 8080``."""
    where = f"{forward['host_address']} " if forward["host_address"] else ""
    return f"{forward['protocol']} {where}port {forward['host_port']}"


def _parse_one(value: Mapping[str, Any]) -> Forward:
    unknown = set(value) - set(Forward.__annotations__)
    if unknown:
        raise ValueError(f"unknown key {min(unknown)!r}")
    host_port = _port(value.get("host_port"), "host_port")
    jail_port = host_port if value.get("jail_port") is None else _port(value["jail_port"], "jail_port")
    if _length(host_port) != _length(jail_port):
        raise ValueError(
            f"host_port {host_port} are {_length(host_port)} ports and jail_port {jail_port} are {_length(jail_port)}"
        )
    protocol = value.get("protocol") or PROTOCOLS[0]
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol {protocol!r} is none of {', '.join(PROTOCOLS)}")
    if value.get("jail_address") is not None and value.get("interface") is not None:
        raise ValueError(f"{protocol} port {host_port} has both jail_address and interface; one says where it leads")
    found: Forward = {
        "host_address": _address(value.get("host_address"), "host_address"),
        "host_port": host_port,
        "jail_port": jail_port,
        "jail_address": _address(value.get("jail_address"), "jail_address"),
        "interface": value.get("interface"),
        "protocol": protocol,
    }
    if found["jail_address"] and _version(found) not in (None, ipaddress.ip_address(found["jail_address"]).version):
        raise ValueError(f"{name_of(found)} cannot lead to {found['jail_address']}: that is another version of IP")
    return found


def _port(value: Any, key: str) -> str:
    first, dash, last = str(value).strip().partition("-")
    numbers = [first, last] if dash else [first]
    if value is None or not all(each.isascii() and each.isdigit() and len(each) <= 5 for each in numbers):
        raise ValueError(f"{key} {value!r} is neither a port such as 8080 nor a range such as 8000-8010")
    low, high = int(numbers[0]), int(numbers[-1])
    if not 1 <= low <= high <= _PORT_MAX:
        raise ValueError(f"{key} {value} is not within 1 to {_PORT_MAX}, the lower one first")
    return str(low) if low == high else f"{low}-{high}"


def _numbers(port: str) -> tuple[int, int]:
    first, _dash, last = port.partition("-")
    return int(first), int(last or first)


def _length(port: str) -> int:
    first, last = _numbers(port)
    return last - first + 1


def _address(text: Any, key: str) -> str | None:
    if text is None:
        return None
    address = ipaddress.ip_address(text)
    odd = address.version == 6 and (address.is_link_local or address.ipv4_mapped is not None)
    if "%" in str(text) or address.is_multicast or odd:
        raise ValueError(f"{key} {text} is not usable: give an address that is good everywhere on the host")
    return str(address)


def _version(forward: Forward) -> int | None:
    """The version of IP that its ``host_address`` says."""
    address = forward["host_address"]
    return None if address is None else ipaddress.ip_address(address).version


def _own(forward: Forward) -> str:
    """The one address of the host that it is for; empty for many."""
    address = forward["host_address"]
    return "" if address is None or address in _EVERY else address


def _shared(one: Forward, other: Forward) -> str | None:
    """What two entries have in common."""
    (first, last), (begin, end) = _numbers(one["host_port"]), _numbers(other["host_port"])
    low, high = max(first, begin), min(last, end)
    versions = {_version(one), _version(other)} - {None}
    addresses = {_own(one), _own(other)} - {""}
    if one["protocol"] != other["protocol"] or low > high or len(versions) > 1 or len(addresses) > 1:
        return None
    where = f" of {addresses.pop()}" if addresses else ""
    return f"{one['protocol']} port {low if low == high else f'{low}-{high}'}{where}"


def covers(forward: Forward, address: str, port: int, both: bool) -> bool:
    """Whether what comes to a socket at this address (unspecified: all) and port would be led elsewhere.

    :param both: whether the socket is of IPv6 and hears IPv4 too.
    """
    first, last = _numbers(forward["host_port"])
    heard = ipaddress.ip_address(address)
    version, own = _version(forward), _own(forward)
    if not first <= port <= last or (version not in (None, heard.version) and not both):
        return False
    return not own or heard.is_unspecified or heard == ipaddress.ip_address(own)


def conflicts(published: Mapping[str, Sequence[Forward]]) -> dict[str, str]:
    """What two jails publish both: for each jail concerned a sentence that names both."""
    found: dict[str, str] = {}
    said = [(jail, forward) for jail in sorted(published) for forward in published[jail]]
    for (jail, _forward), (other, _its), shared in _clashes(said):
        if jail != other:
            sentence = f"publish: jails {' and '.join(sorted((jail, other)))} both publish {shared}"
            found.setdefault(jail, sentence)
            found.setdefault(other, sentence)
    return found


def _clashes(said: Iterable[tuple[str, Forward]]) -> Iterator[tuple[tuple[str, Forward], tuple[str, Forward], str]]:
    """Pairs with what they have in common. In order of their ports, so that each is compared with few."""
    open_ones: list[tuple[str, Forward]] = []
    for each in sorted(said, key=lambda one: _position(one[1])):
        first = _numbers(each[1]["host_port"])[0]
        open_ones = [
            other
            for other in open_ones
            if other[1]["protocol"] == each[1]["protocol"] and _numbers(other[1]["host_port"])[1] >= first
        ]
        for other in open_ones:
            if (shared := _shared(other[1], each[1])) is not None:
                yield other, each, shared
        open_ones.append(each)


def reach(forwards: Sequence[Forward], interfaces: Sequence[Interface]) -> Reach:
    """What the host has to have for them.

    :raises ValueError: when a jail with these interfaces has no address that one of them could lead to.
    """
    doors: dict[Door, Target] = {}
    loopback: dict[int, set[str]] = {}
    ports = set()
    for forward in forwards:
        for version, interface, address in _targets(forward, interfaces):
            doors.update(_doors(forward, version, address))
            ports.add(interface["name"])
            if _is_from_loopback(forward):
                loopback.setdefault(version, set()).add(str(interface["bridge"]))
    near = {address: _near(address, interfaces) for address in {target.address for target in doors.values()}}
    return Reach(doors, near, {version: frozenset(each) for version, each in loopback.items()}, frozenset(ports))


def _is_from_loopback(forward: Forward) -> bool:
    return not _own(forward) or ipaddress.ip_address(_own(forward)).is_loopback


def _doors(forward: Forward, version: int, address: str) -> Iterator[tuple[Door, Target]]:
    first, last = _numbers(forward["host_port"])
    begin, _end = _numbers(forward["jail_port"])
    own = _own(forward)
    for port in range(first, last + 1):
        yield Door(version, forward["protocol"], own, port), Target(address, begin + port - first)


def _targets(forward: Forward, interfaces: Sequence[Interface]) -> Iterator[tuple[int, Interface, str]]:
    """Versions of IP, interfaces and addresses that an entry leads to: of each version one."""
    versions: list[int] = [version for version in (4, 6) if _version(forward) in (None, version)]
    # The host reaches what is on its bridges.
    chosen = [each for each in interfaces if each["bridge"] and forward["interface"] in (None, each["name"])]
    found = [target for version in versions for target in _of_version(forward, version, chosen)]
    if not found:
        raise ValueError(f"{name_of(forward)} leads nowhere: the jail has no {_what_is_missing(forward)}")
    yield from found


def _what_is_missing(forward: Forward) -> str:
    version = _version(forward)
    kind = f"IPv{version} address" if version else "address"
    if forward["jail_address"]:
        return f"address {forward['jail_address']}"
    return f"{kind} on an interface {forward['interface']}" if forward["interface"] else kind


def _of_version(forward: Forward, version: int, interfaces: Sequence[Interface]) -> list[tuple[int, Interface, str]]:
    """At most one; before others one where the jail's answers leave by its gateway."""
    gateway = {4: "gateway", 6: "gateway6"}[version]
    in_order = sorted(interfaces, key=lambda interface: not dict(interface)[gateway])
    found: list[tuple[int, Interface, str]] = [
        (version, interface, host)
        for interface in in_order
        for host in hosts(interface)
        if ipaddress.ip_address(host).version == version and forward["jail_address"] in (None, host)
    ]
    return found[:1]


def _near(address: str, interfaces: Sequence[Interface]) -> frozenset[str]:
    version = ipaddress.ip_address(address).version
    networks = (ipaddress.ip_interface(each).network for interface in interfaces for each in interface["addresses"])
    return frozenset(map(str, _collapsed(network for network in networks if network.version == version)))


def _collapsed(networks: Iterable[IPNetwork]) -> list[IPNetwork]:
    """Without those that lie in others: a set of the filter takes no two that overlap."""
    found: list[IPNetwork] = []
    for network in sorted(networks, key=lambda each: each.prefixlen):
        if not any(network.overlaps(wider) for wider in found):
            found.append(network)
    return found


def describe(
    there: Mapping[Door, Target], forwards: Sequence[Forward], interfaces: Sequence[Interface]
) -> list[Forward]:
    """What is there, as the entries of which nothing is missing, and single ports for all that belongs to none.

    :param forwards: those that may be there.
    :param interfaces: of the jail.
    """
    left = dict(there)
    found = []
    for forward in forwards:
        try:
            doors = reach([forward], interfaces).doors
        except ValueError:
            continue
        if all(there.get(door) == target for door, target in doors.items()):
            found.append(forward)
            left = {door: target for door, target in left.items() if door not in doors}
    found += [_single(door, target) for door, target in left.items()]
    return sorted(found, key=_position)


def _single(door: Door, target: Target) -> Forward:
    every = {version: address for address, version in _EVERY.items()}
    return {
        "host_address": door.address or every[door.version],
        "host_port": str(door.port),
        "jail_port": str(target.port),
        "jail_address": target.address,
        "interface": None,
        "protocol": door.protocol,
    }
