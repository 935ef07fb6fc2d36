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
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict, Union, cast

from .. import rates
from . import routes, shapes
from .routes import Route
from .shapes import GATEWAY, GATEWAY6, SHAPES, USUAL_TYPE

IPAddress = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
IPInterface = Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]
IPNetwork = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

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
    type: str
    """One of :data:`.shapes.SHAPES`."""
    bridge: str | None
    """Of a veth ``None`` only in what is there: the host's end is in no bridge, or does not carry packets."""
    parent: str | None
    """The device of the host that it is, or belongs to; of a routed one, where the host answers for its addresses."""
    addresses: list[str]
    """With prefix length, as :func:`in_order` sorts them."""
    gateway: str | None
    gateway6: str | None
    routes: list[Route]
    """Besides the gateways' and those that follow from addresses."""
    mac: str
    """Empty where it is the parent's."""
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
    rate_in: str | None
    """To the jail, as :func:`.rates.show` writes it; ``None`` only in what is there: what stands is no rate of ours."""
    rate_out: str | None
    """From the jail, likewise."""
    packets_max: int
    """From the jail in a second. 0: without a limit."""


class Protection(TypedDict):
    """The part of an interface that was not there from the first version on."""

    spoof_protection: bool
    allow_router: bool
    allow_metadata: bool
    isolate: bool
    connections_max: int
    neighbours_max: int
    rate_in: str
    rate_out: str
    packets_max: int


USUAL: Protection = {
    "spoof_protection": True,
    "allow_router": False,
    "allow_metadata": False,
    "isolate": False,
    "connections_max": 8192,
    "neighbours_max": 128,
    "rate_in": rates.UNLIMITED,
    "rate_out": rates.UNLIMITED,
    "packets_max": 0,
}
"""What holds of an interface of which nothing else is said."""


@functools.lru_cache(maxsize=8192)
def known(text: str) -> IPInterface:
    """An address, with a prefix length or without. What all jails have is asked for again and again."""
    return ipaddress.ip_interface(text)


class Place(TypedDict):
    """Likewise: where an interface is, and where it leads."""

    type: str
    parent: str | None
    routes: list[Route]


USUAL_PLACE: Place = {"type": USUAL_TYPE, "parent": None, "routes": []}


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


def has_host_end(interface: Interface) -> bool:
    """Whether what the interface sends passes the host's filters."""
    return SHAPES[interface["type"]].by_host


def is_forwarded(interface: Interface) -> bool:
    """Whether the jail needs the host to be a router."""
    return interface["masquerade"] or interface["type"] == "routed"


def carried(interface: Interface) -> list[str]:
    """What the host is called at its end of a routed interface, with prefix length; nothing for other types."""
    versions = {ipaddress.ip_interface(each).version for each in interface["addresses"]}
    if interface["type"] != "routed":
        return []
    found = [f"{interface['gateway'] or GATEWAY}/32"] if 4 in versions else []
    return found + ([f"{interface['gateway6'] or GATEWAY6}/128"] if 6 in versions else [])


def gateways(interface: Interface) -> list[str]:
    """The gateways of an interface, each with the prefix length of the address that reaches it: ``10.77.0.1/24``.

    A gateway that no address reaches is not listed, nor what the host is called at its own end (:func:`carried`).
    """
    found: list[str] = []
    if interface["type"] == "routed":
        return found
    for gateway in filter(None, (interface["gateway"], interface["gateway6"])):
        host = known(gateway)
        lengths = [64] if ":" in gateway and host.is_link_local else []
        for address in map(known, interface["addresses"]):
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
    _lead_out(parsed)
    _check_together(parsed)
    return parsed


def _lead_out(interfaces: Sequence[Interface]) -> None:
    """A routed interface leads to the host and nowhere else: the first one has it as its gateway where the jail has no
    other way out."""
    for key, usual in (("gateway", GATEWAY), ("gateway6", GATEWAY6)):
        ways = [routes.default(str(dict(each)[key])) for each in interfaces if dict(each)[key]]
        ways += [route for each in interfaces for route in each["routes"]]
        version = ipaddress.ip_address(usual).version
        if any(ipaddress.ip_network(way["to"]) == ipaddress.ip_network(routes.default(usual)["to"]) for way in ways):
            continue
        for interface in interfaces:
            if any(ipaddress.ip_interface(each.partition("/")[0]).version == version for each in carried(interface)):
                interface.update({"gateway": usual} if version == 4 else {"gateway6": usual})
                break


def _parse_interface(jail: str, value: Mapping[str, Any]) -> Interface:
    name = _device_name(value.get("name"), "interface name")
    try:
        unknown = set(value) - set(Interface.__annotations__)
        if unknown:
            raise ValueError(f"unknown key {min(unknown)!r}")
        kind = shapes.check(value)
        shape = SHAPES[kind]
        addresses = [_address(text) for text in value.get("addresses") or ()]
        shapes.check_lengths(kind, addresses)
        if value.get("masquerade") and not addresses:
            raise ValueError("masquerade needs an address to masquerade")
        counted = USUAL["connections_max"] if shape.by_host else 0
        interface: Interface = {
            "name": name,
            "type": kind,
            "bridge": _device_name(value["bridge"], "bridge name") if shape.on_bridge else None,
            "parent": None if value.get("parent") is None else _device_name(value["parent"], "parent"),
            "addresses": [str(address) for address in sorted(addresses, key=_position)],
            "gateway": _gateway(value.get("gateway"), "gateway", 4, addresses, kind),
            "gateway6": _gateway(value.get("gateway6"), "gateway6", 6, addresses, kind),
            "routes": [],
            "mac": _mac_of(jail, name, value, kind),
            "mtu": DEFAULT_MTU if value.get("mtu") is None else _mtu(value["mtu"], addresses),
            "masquerade": bool(value.get("masquerade")),
            "spoof_protection": value.get("spoof_protection") is not False,
            "allow_router": bool(value.get("allow_router")),
            "allow_metadata": bool(value.get("allow_metadata")),
            "isolate": bool(value.get("isolate")),
            "connections_max": _count(value, "connections_max", counted),
            "neighbours_max": _count(value, "neighbours_max", USUAL["neighbours_max"]),
            "rate_in": _rate(value, "rate_in"),
            "rate_out": _rate(value, "rate_out"),
            "packets_max": _count(value, "packets_max", USUAL["packets_max"]),
        }
        near = [each.partition("/")[0] for each in carried(interface)]
        interface["routes"] = routes.parse(value.get("routes") or (), addresses, near)
        _check_default(interface)
        if interface["rate_in"] != rates.UNLIMITED and not shape.by_host:
            raise ValueError(f"rate_in does not go with type {kind}: what it receives does not pass the host")
        return interface
    except ValueError as error:
        raise ValueError(f"interface {name}: {error}") from None


def _mac_of(jail: str, name: str, value: Mapping[str, Any], kind: str) -> str:
    """A user's own, or what follows from the names; a device of the host keeps the one that it has."""
    if value.get("mac"):
        return _mac(value["mac"])
    return stable_mac(jail, name) if SHAPES[kind].own_mac and not SHAPES[kind].alone else ""


def _check_default(interface: Interface) -> None:
    for key in ("gateway", "gateway6"):
        gateway = dict(interface)[key]
        for route in interface["routes"] if gateway else ():
            usual = routes.default(str(gateway))
            if {**route, "via": None} == {**usual, "via": None}:
                raise ValueError(
                    f"{key} {gateway} and the route {route['to']} via {route['via']} have the same metric "
                    f"{route['metric']}; give the route another one"
                )


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


def _gateway(text: Any, key: str, version: int, addresses: Sequence[IPInterface], kind: str) -> str | None:
    if text is None:
        return None
    gateway = ipaddress.ip_address(text)
    if gateway.version != version or "%" in str(text):
        raise ValueError(f"{key} {text} is not an IPv{version} address")
    if version == 6 and gateway.is_link_local:
        return str(gateway)
    near = [address for address in addresses if gateway in address.network]
    if kind == "routed":
        return _host_name_of(gateway, key, addresses)
    if not near:
        have = ", ".join(str(address) for address in addresses if address.version == version) or "none"
        raise ValueError(f"{key} {text} lies in the prefix of none of its IPv{version} addresses ({have})")
    if any(_is_reserved(gateway, address.network) for address in near):
        raise ValueError(f"{key} {text} is the network or broadcast address of {near[0].network}")
    return str(gateway)


def _host_name_of(gateway: IPAddress, key: str, addresses: Sequence[IPInterface]) -> str:
    """A gateway that the host is at its end of a routed interface: any address that is nobody's."""
    if not any(address.version == gateway.version for address in addresses):
        raise ValueError(f"{key} {gateway}: the interface has no IPv{gateway.version} address")
    if gateway.is_multicast or gateway.is_unspecified or gateway.is_loopback:
        raise ValueError(f"{key} {gateway} is not one that an interface can have")
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


def _rate(value: Mapping[str, Any], key: str) -> str:
    try:
        return rates.UNLIMITED if value.get(key) is None else rates.show(rates.parse(value[key]))
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def completed(interfaces: Iterable[Any]) -> list[Interface]:
    """Interfaces in the canonical form, as a version of ours may have recorded them that did not know all of it."""
    return [cast(Interface, {**USUAL_PLACE, **USUAL, **interface}) for interface in interfaces]


def _check_together(interfaces: Sequence[Interface]) -> None:
    """What no interface can have twice in one jail."""
    own = [host for interface in interfaces for host in hosts(interface)]
    _refuse_repeated("interface {}", [interface["name"] for interface in interfaces])
    _refuse_repeated("address {}", own)
    _refuse_repeated("mac {}", [interface["mac"] for interface in interfaces if interface["mac"]])
    for key, given in (
        ("gateway", [interface["gateway"] for interface in interfaces if interface["gateway"]]),
        ("gateway6", [interface["gateway6"] for interface in interfaces if interface["gateway6"]]),
    ):
        if len(given) > 1:
            raise ValueError(f"{key} is given for {len(given)} interfaces; a jail has one default route of each family")
        if given and given[0] in own:
            raise ValueError(f"{key} {given[0]} is an address of the jail itself")

    for one, other in itertools.combinations(interfaces, 2):
        device = one["parent"] or one["bridge"]
        alone = SHAPES[one["type"]].alone or SHAPES[other["type"]].alone
        if alone and device == (other["parent"] or other["bridge"]):
            raise ValueError(f"interfaces {one['name']} and {other['name']} both want the device {device}")


def _refuse_repeated(what: str, values: Sequence[str]) -> None:
    for value, count in Counter(values).items():
        if count > 1:
            raise ValueError(f"{what.format(value)} is given {count} times")
