# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user says about the routes by an interface, checked and brought into one form. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict, Union

IPInterface = Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]
IPNetwork = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

MAIN = 254
"""The table that is asked where no rule says otherwise (ip-rule(8))."""
USUAL_METRIC = {4: 0, 6: 1024}
"""What the kernel takes where none is given (ip-route(8)): that of a gateway's default route too."""
_LOCAL = 255
_MOST = (1 << 32) - 1


class Route(TypedDict):
    """A route by an interface: the canonical form, of what is wanted and of what is there alike."""

    to: str
    """A network, as :mod:`ipaddress` writes it."""
    via: str | None
    """A neighbour; ``None`` where the destinations are neighbours themselves."""
    metric: int
    table: int


def in_order(routes: Iterable[Route]) -> list[Route]:
    """Routes in canonical order: by table, network and metric."""
    return sorted(routes, key=_position)


def _position(route: Route) -> tuple[int, int, int, int, int, str]:
    to = ipaddress.ip_network(route["to"])
    return route["table"], to.version, int(to.network_address), to.prefixlen, route["metric"], route["via"] or ""


def parse(value: Iterable[Mapping[str, Any]], addresses: Sequence[IPInterface], carried: Iterable[str]) -> list[Route]:
    """The canonical form of the suboption ``routes``.

    :param addresses: those of the interface.
    :param carried: the neighbours that a routed interface has.
    :raises ValueError: with a sentence that names the route and what is wrong with it.
    """
    near = {str(ipaddress.ip_address(each)) for each in carried}
    found = in_order(_parse_one(each, addresses, near) for each in value)
    for one, other in zip(found, found[1:]):
        if _key(one) == _key(other):
            ways = " and ".join(str(each["via"] or "no neighbour") for each in (one, other))
            raise ValueError(
                f"route {one['to']} is given by {ways} with the same metric {one['metric']} in table {one['table']}"
            )
    return found


def _key(route: Route) -> tuple[int, str, int]:
    return route["table"], route["to"], route["metric"]


def _parse_one(value: Mapping[str, Any], addresses: Sequence[IPInterface], near: Iterable[str]) -> Route:
    unknown = set(value) - set(Route.__annotations__)
    if unknown:
        raise ValueError(f"route: unknown key {min(unknown)!r}")
    to = _network(value.get("to"))
    route: Route = {
        "to": str(to),
        "via": _neighbour(value.get("via"), to, addresses, near),
        # The kernel takes no metric 0 of IPv6, and gives it the usual one.
        "metric": _number(value, "metric", USUAL_METRIC[to.version], 0, _MOST) or USUAL_METRIC[to.version],
        "table": _number(value, "table", MAIN, 1, _MOST),
    }
    if route["table"] == _LOCAL:
        raise ValueError(f"route {to}: table {_LOCAL} is the kernel's own")
    if not any(address.version == to.version for address in addresses):
        raise ValueError(f"route {to}: the interface has no IPv{to.version} address")
    return route


def _network(text: Any) -> IPNetwork:
    if text == "default":
        raise ValueError("route default: write it as 0.0.0.0/0 or ::/0")
    try:
        network = ipaddress.ip_network(str(text))
    except ValueError as error:
        raise ValueError(f"route {text}: {error}") from None
    if network.is_multicast or network.is_loopback or (network.prefixlen and network.is_link_local):
        raise ValueError(f"route {text} is to no network that others can have")
    return network


def _neighbour(text: Any, to: IPNetwork, addresses: Sequence[IPInterface], near: Iterable[str]) -> str | None:
    if text is None:
        return None
    via = ipaddress.ip_address(str(text))
    if via.version != to.version or "%" in str(text):
        raise ValueError(f"route {to}: via {text} is not an IPv{to.version} address")
    if any(via == address.ip for address in addresses):
        raise ValueError(f"route {to}: via {text} is an address of the interface itself")
    if str(via) in near or (via.version == 6 and via.is_link_local):
        return str(via)
    if not any(via in address.network for address in addresses):
        have = ", ".join(str(address) for address in addresses if address.version == to.version) or "none"
        raise ValueError(f"route {to}: via {text} lies in the prefix of none of its IPv{to.version} addresses ({have})")
    return str(via)


def _number(value: Mapping[str, Any], key: str, usual: int, least: int, most: int) -> int:
    number = usual if value.get(key) is None else value[key]
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
        raise ValueError(f"route {value.get('to')}: {key} {number} is not in the range {least} to {most}")
    return number


def default(gateway: str) -> Route:
    """The default route that a gateway is."""
    version = ipaddress.ip_address(gateway).version
    to = {4: "0.0.0.0/0", 6: "::/0"}[version]
    return {"to": to, "via": gateway, "metric": USUAL_METRIC[version], "table": MAIN}


def is_usual_default(route: Route) -> bool:
    """Whether a route is in the place of a gateway's."""
    to = ipaddress.ip_network(route["to"])
    return not to.prefixlen and route["table"] == MAIN and route["metric"] == USUAL_METRIC[to.version]
