# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user says about a jail's interfaces, checked and brought into one form. Pure: nothing here asks the kernel."""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypedDict, Union, cast

IPAddress = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
IPInterface = Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]
IPNetwork = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
Place = tuple[Union[str, None], IPNetwork]
Clash = tuple[str, str, str]

DEFAULT_MTU = 1500
_COUNT_MAX = 1_000_000

# Narrower than the kernel's dev_valid_name(): these names need no quoting anywhere.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,14}")
_NOT_NAMES = ("lo", "all", "default")  # the latter two stand for other things below /proc/sys/net/*/conf
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class Interface(TypedDict):
    """One interface of a jail: the canonical form, of what is wanted and of what is there alike.

    Nothing is left to be derived, so that two of them are the same interface exactly when they are equal.
    """

    name: str
    bridge: str | None
    """``None`` only in what is there: the host's end is in no bridge, or does not carry packets."""
    addresses: list[str]
    """With prefix length, as :func:`in_order` sorts them."""
    gateway: str | None
    gateway6: str | None
    mac: str
    mtu: int
    """Bytes."""
    masquerade: bool
    spoof_protection: bool | None
    """``None`` only in what is there: the filter at the host's end is not the one that the interface needs."""
    allow_router: bool
    allow_metadata: bool
    isolate: bool | None
    """``None`` only in what is there: it is half so."""
    connections_max: int
    """0: without a limit."""
    neighbours_max: int
    """Likewise."""


class Protection(TypedDict):
    """The part of an interface that was not there from the first version on."""

    spoof_protection: bool
    allow_router: bool
    allow_metadata: bool
    isolate: bool
    connections_max: int
    neighbours_max: int


USUAL: Protection = {
    "spoof_protection": True,
    "allow_router": False,
    "allow_metadata": False,
    "isolate": False,
    "connections_max": 8192,
    "neighbours_max": 128,
}
"""What holds of an interface of which nothing else is said."""


@functools.lru_cache(maxsize=8192)
def _known(text: str) -> IPInterface:
    """An address, with a prefix length or without. What all jails have is asked for again and again."""
    return ipaddress.ip_interface(text)


def stable_mac(jail: str, interface: str) -> str:
    """The MAC address of an interface for which the user gives none: locally administered, the same at every start.

    It is the same on every host too, so that a jail keeps it when it moves; two jails of one name on one Ethernet
    segment need a ``mac`` of their own.
    """
    digest = hashlib.sha256(f"{jail}/{interface}".encode()).hexdigest()
    return ":".join(["02"] + [digest[at : at + 2] for at in range(0, 10, 2)])


def in_order(addresses: Iterable[str]) -> list[str]:
    """Addresses with prefix length in canonical order: IPv4 before IPv6, each by value."""
    return [str(address) for address in sorted(map(ipaddress.ip_interface, addresses), key=_position)]


def _position(address: IPInterface) -> tuple[int, int, int]:
    return address.version, int(address.ip), address.network.prefixlen


def hosts(interface: Interface) -> list[str]:
    """The addresses of an interface without their prefix lengths."""
    return [address.partition("/")[0] for address in interface["addresses"]]


def gateways(interface: Interface) -> list[str]:
    """The gateways of an interface, each with the prefix length of the address that reaches it: ``10.77.0.1/24``.

    A gateway that no address reaches is not listed.
    """
    found = []
    for gateway in filter(None, (interface["gateway"], interface["gateway6"])):
        host = _known(gateway)
        lengths = [64] if host.is_link_local else []
        for address in map(_known, interface["addresses"]):
            if host.version == address.version and host.ip in address.network:
                lengths.append(address.network.prefixlen)
        if lengths:
            found.append(f"{gateway}/{max(lengths)}")
    return found


def parse_interfaces(jail: str, value: Sequence[Mapping[str, Any]]) -> list[Interface]:
    """The canonical form, sorted by name, of the option ``interfaces`` of the jail named ``jail``.

    Absent keys and keys that are ``None`` are the same.

    :raises ValueError: with a sentence that names the interface and what is wrong with it.
    """
    parsed = sorted((_parse_interface(jail, each) for each in value), key=lambda interface: interface["name"])
    _check_together(parsed)
    return parsed


def _parse_interface(jail: str, value: Mapping[str, Any]) -> Interface:
    name = _device_name(value.get("name"), "interface name")
    try:
        unknown = set(value) - set(Interface.__annotations__)
        if unknown:
            raise ValueError(f"unknown key {min(unknown)!r}")
        addresses = [_address(text) for text in value.get("addresses") or ()]
        if value.get("masquerade") and not addresses:
            raise ValueError("masquerade needs an address to masquerade")
        return {
            "name": name,
            "bridge": _device_name(value.get("bridge"), "bridge name"),
            "addresses": [str(address) for address in sorted(addresses, key=_position)],
            "gateway": _gateway(value.get("gateway"), "gateway", 4, addresses),
            "gateway6": _gateway(value.get("gateway6"), "gateway6", 6, addresses),
            "mac": stable_mac(jail, name) if value.get("mac") is None else _mac(value["mac"]),
            "mtu": DEFAULT_MTU if value.get("mtu") is None else _mtu(value["mtu"], addresses),
            "masquerade": bool(value.get("masquerade")),
            "spoof_protection": value.get("spoof_protection") is not False,
            "allow_router": bool(value.get("allow_router")),
            "allow_metadata": bool(value.get("allow_metadata")),
            "isolate": bool(value.get("isolate")),
            "connections_max": _count(value, "connections_max", USUAL["connections_max"]),
            "neighbours_max": _count(value, "neighbours_max", USUAL["neighbours_max"]),
        }
    except ValueError as error:
        raise ValueError(f"interface {name}: {error}") from None


def _device_name(name: Any, what: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _NOT_NAMES:
        raise ValueError(
            f"{what} {name!r} is not usable: give 1 to 15 letters, digits, '_', '.' or '-', a letter first, "
            f"and none of {', '.join(_NOT_NAMES)}"
        )
    return name


def _address(text: Any) -> IPInterface:
    if "/" not in str(text):
        raise ValueError(f"address {text} has no prefix length; write it as {text}/{64 if ':' in str(text) else 24}")
    if "%" in str(text):
        raise ValueError(f"address {text} must not have a zone")
    address = ipaddress.ip_interface(text)
    network = address.network
    if address.is_multicast or address.is_unspecified or address.is_loopback or not network.prefixlen:
        raise ValueError(f"address {text} is not one that an interface can have")
    if address.version == 6 and address.is_link_local:
        raise ValueError(f"address {text} is link-local; the kernel gives every interface one of those by itself")
    if _is_reserved(address.ip, network):
        raise ValueError(f"address {text} is the network or broadcast address of {network}")
    return address


def _is_reserved(host: IPAddress, network: IPNetwork) -> bool:
    """Whether a prefix has it as its first address, or as the last of an IPv4 one (but see RFC 3021 and RFC 6164)."""
    if network.prefixlen >= network.max_prefixlen - 1:
        return False
    return host == network.network_address or (host.version == 4 and host == network.broadcast_address)


def _gateway(text: Any, key: str, version: int, addresses: Sequence[IPInterface]) -> str | None:
    if text is None:
        return None
    gateway = ipaddress.ip_address(text)
    if gateway.version != version or "%" in str(text):
        raise ValueError(f"{key} {text} is not an IPv{version} address")
    if version == 6 and gateway.is_link_local:
        return str(gateway)
    near = [address for address in addresses if gateway in address.network]
    if not near:
        have = ", ".join(str(address) for address in addresses if address.version == version) or "none"
        raise ValueError(f"{key} {text} lies in the prefix of none of its IPv{version} addresses ({have})")
    if any(_is_reserved(gateway, address.network) for address in near):
        raise ValueError(f"{key} {text} is the network or broadcast address of {near[0].network}")
    return str(gateway)


def _mac(text: Any) -> str:
    mac = str(text).lower()
    if not _MAC.fullmatch(mac) or int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise ValueError(
            f"mac {text} is not the address of one interface: give six pairs of hexadecimal digits with colons, "
            "the first pair even, such as 02:00:00:00:00:01"
        )
    return mac


def _mtu(mtu: Any, addresses: Sequence[IPInterface]) -> int:
    # IPv6 wants 1280 (RFC 8200, section 5): below, the kernel takes IPv6 off the device.
    least = 1280 if any(address.version == 6 for address in addresses) else 68
    if not isinstance(mtu, int) or isinstance(mtu, bool) or not least <= mtu <= 65535:
        raise ValueError(f"mtu {mtu} is not in the range {least} to 65535")
    return mtu


def _count(value: Mapping[str, Any], key: str, usual: int) -> int:
    number = usual if value.get(key) is None else value[key]
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= _COUNT_MAX:
        raise ValueError(f"{key} {number} is not in the range 0 (no limit) to {_COUNT_MAX}")
    return number


def completed(interfaces: Iterable[Any]) -> list[Interface]:
    """Interfaces in the canonical form, as a version of ours may have recorded them that did not know all of it."""
    return [cast(Interface, {**USUAL, **interface}) for interface in interfaces]


def _check_together(interfaces: Sequence[Interface]) -> None:
    """What no interface can have twice in one jail."""
    own = [host for interface in interfaces for host in hosts(interface)]
    _refuse_repeated("interface {}", [interface["name"] for interface in interfaces])
    _refuse_repeated("address {}", own)
    _refuse_repeated("mac {}", [interface["mac"] for interface in interfaces])
    for key, given in (
        ("gateway", [interface["gateway"] for interface in interfaces if interface["gateway"]]),
        ("gateway6", [interface["gateway6"] for interface in interfaces if interface["gateway6"]]),
    ):
        if len(given) > 1:
            raise ValueError(f"{key} is given for {len(given)} interfaces; a jail has one default route of each family")
        if given and given[0] in own:
            raise ValueError(f"{key} {given[0]} is an address of the jail itself")


def _refuse_repeated(what: str, values: Sequence[str]) -> None:
    for value, count in Counter(values).items():
        if count > 1:
            raise ValueError(f"{what.format(value)} is given {count} times")


def conflicts(networks: Mapping[str, Sequence[Interface]]) -> dict[str, str]:
    """What makes the interfaces of several jails impossible together.

    :param networks: canonical interfaces by jail.
    :returns: for each jail concerned a sentence that names both jails; empty when all can run at once.
    """
    found: dict[str, str] = {}
    clashes = (_same_hosts(networks), _same_macs(networks), _gateways_taken(networks), _overlaps(networks))
    for one, other, sentence in itertools.chain.from_iterable(clashes):
        found.setdefault(one, sentence)
        found.setdefault(other, sentence)
    return found


def _each(networks: Mapping[str, Sequence[Interface]]) -> Iterator[tuple[str, Interface]]:
    for jail in sorted(networks):
        for interface in networks[jail]:
            yield jail, interface


def _same_hosts(networks: Mapping[str, Sequence[Interface]]) -> Iterator[Clash]:
    owner: dict[str, str] = {}
    for jail, interface in _each(networks):
        for host in hosts(interface):
            other = owner.setdefault(host, jail)
            if other != jail:
                yield other, jail, f"jails {other} and {jail} both have the address {host}"


def _same_macs(networks: Mapping[str, Sequence[Interface]]) -> Iterator[Clash]:
    owner: dict[str, str] = {}
    for jail, interface in _each(networks):
        other = owner.setdefault(interface["mac"], jail)
        if other != jail:
            yield other, jail, f"jails {other} and {jail} both have the MAC address {interface['mac']}"


def _gateways_taken(networks: Mapping[str, Sequence[Interface]]) -> Iterator[Clash]:
    owner = {host: jail for jail, interface in _each(networks) for host in hosts(interface)}
    length: dict[tuple[str | None, str], tuple[str, str]] = {}
    for jail, interface in _each(networks):
        for gateway in gateways(interface):
            host = gateway.partition("/")[0]
            if owner.get(host, jail) != jail:
                other = owner[host]
                yield other, jail, f"jail {other} has the address {host}, which is the gateway of jail {jail}"
            other, before = length.setdefault((interface["bridge"], host), (jail, gateway))
            if gateway != before:
                where = f"the gateway of bridge {interface['bridge']}"
                yield other, jail, f"{where} is {before} for jail {other} and {gateway} for jail {jail}"


def _overlaps(networks: Mapping[str, Sequence[Interface]]) -> Iterator[Clash]:
    """Prefixes that overlap on different bridges: the host could route them to one of the two only."""
    users: dict[Place, list[str]] = {}
    for jail, interface in _each(networks):
        for address in interface["addresses"]:
            users.setdefault((interface["bridge"], _known(address).network), []).append(jail)
    known = list(users)
    for pair in _overlapping(users):
        one, other = sorted(pair, key=known.index)
        for first, second in itertools.product(users[one], users[other]):
            (bridge, prefix), (other_bridge, other_prefix) = one, other
            has = f"jail {first} has {prefix} on bridge {bridge}"
            yield first, second, f"{has}, which overlaps {other_prefix} of jail {second} on bridge {other_bridge}"


def _overlapping(places: Iterable[Place]) -> Iterator[tuple[Place, Place]]:
    """Those of different bridges whose prefixes overlap: then one lies in the other, so that in the order of addresses
    all that a prefix lies in are before it, and none that has ended is looked at again."""
    around: list[Place] = []
    for place in sorted(places, key=_extent):
        prefix = place[1]
        while around and not _holds(around[-1][1], prefix):
            around.pop()
        yield from ((each, place) for each in around if each[0] != place[0])
        around.append(place)


def _extent(place: Place) -> tuple[int, int, int]:
    prefix = place[1]
    return prefix.version, int(prefix.network_address), prefix.prefixlen


def _holds(outer: IPNetwork, inner: IPNetwork) -> bool:
    return outer.version == inner.version and int(inner.network_address) <= int(outer.broadcast_address)
