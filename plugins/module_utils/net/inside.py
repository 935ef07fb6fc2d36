# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a jail's interface has in the jail, whatever its type: addresses, routes, MAC address and MTU; read from the
kernel, and changed where they differ."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from ..kernel import namespaces
from . import routes, sysctl
from .addresses import USUAL, USUAL_PLACE, Interface, in_order
from .attached import Attached
from .ingress import link_local
from .netlink import Attributes, Netlink
from .routes import Route


def filled(jail: Netlink, found: Sequence[Attached]) -> list[Attached]:
    """Interfaces with their addresses and routes."""
    if not found:
        return []
    addresses, known = jail.addresses(), jail.routes()
    return [
        each._replace(
            addresses=frozenset(a for i, a in addresses if i == each.inside.ifindex and not _is_link_local(a)),
            link_local=frozenset(a for i, a in addresses if i == each.inside.ifindex and _is_link_local(a)),
            routes=tuple(route for i, route in known if i == each.inside.ifindex),
        )
        for each in found
    ]


def _is_link_local(address: str) -> bool:
    return address[:5] == "fe80:"


def describe(there: Attached) -> Interface:
    """An interface as it is inside; what the host decides is as usual. One that is down has no addresses."""
    return {
        "name": there.inside.name,
        **USUAL_PLACE,
        "type": there.type,
        "bridge": None,
        "addresses": in_order(there.addresses) if there.inside.up else [],
        "gateway": _gateway(there, 4),
        "gateway6": _gateway(there, 6),
        "routes": routes.in_order(route for route in there.routes if not routes.is_usual_default(route)),
        "mac": there.inside.mac,
        "mtu": there.inside.mtu,
        "masquerade": False,
        **USUAL,
    }


def _gateway(there: Attached, version: int) -> str | None:
    """Where the default route with the usual metric leads; ``None`` also when there are several."""
    found = {route["via"] for route in there.routes if routes.is_usual_default(route) and _version(route) == version}
    return found.pop() if len(found) == 1 else None


def _version(route: Route) -> int:
    return ipaddress.ip_network(route["to"]).version


def prepare(namespace: int, name: str) -> None:
    """Set what netlink cannot, for an interface that is down."""
    with namespaces.inside(namespace, "net"):
        # The link-local address has to be the one that the host expects (RFC 4291), whatever the default is.
        sysctl.write_where_present(f"net/ipv6/conf/{name}/addr_gen_mode", "0")
        # A router's advertisements would add addresses and routes to those that are asked for.
        sysctl.write_where_present(f"net/ipv6/conf/{name}/accept_ra", "0")
        sysctl.write_where_present(f"net/ipv6/conf/{name}/ndisc_notify", "1")
        sysctl.write(f"net/ipv4/conf/{name}/arp_notify", "1")
        # Else an IPv4 address takes all later ones of its prefix with it when it goes.
        sysctl.write(f"net/ipv4/conf/{name}/promote_secondaries", "1")


def adjust(jail: Netlink, there: Attached, interface: Interface) -> bool:
    """Make it so: whether the jail's neighbours know it otherwise than it is now."""
    changes: Attributes = {}
    mac = interface["mac"] or there.own_mac
    if mac and there.inside.mac != mac:
        _renew_link_local(jail, there, f"{link_local(mac)}/64")
        changes["address"] = mac
    if there.inside.mtu != interface["mtu"]:
        changes["mtu"] = interface["mtu"]
    if changes:
        jail.set_link(there.inside, changes)
    moved = _adjust_addresses(jail, there, set(interface["addresses"]))
    if not there.inside.up:
        jail.set_link(there.inside, {"state": "up"})
    if moved or not there.inside.up:
        there = filled(jail, [there])[0]  # routes go with what they need
    _adjust_routes(jail, there, interface)
    return not there.inside.up or "address" in changes or moved


def _renew_link_local(jail: Netlink, there: Attached, wanted: str) -> None:
    """The kernel keeps the address that followed from the old MAC address, under which nothing would get out."""
    if there.link_local and wanted not in there.link_local:
        jail.add_address(there.inside, wanted)
    for address in there.link_local - {wanted}:
        jail.delete_address(there.inside, address)


def _adjust_addresses(jail: Netlink, there: Attached, wanted: set[str]) -> bool:
    """Whether any was added or removed."""
    missing = wanted - there.addresses
    surplus = there.addresses - wanted
    hosts = {address.partition("/")[0] for address in missing}
    # IPv6 has each address once, so a new prefix length means a moment without; all others are added first and removed
    # later, for a device that loses its last address loses its routes.
    first = {address for address in surplus if ":" in address and address.partition("/")[0] in hosts}
    for address in first:
        jail.delete_address(there.inside, address)
    for address in in_order(missing):
        jail.add_address(there.inside, address)
    for address in surplus - first:
        jail.delete_address(there.inside, address)
    return bool(missing or surplus)


def _adjust_routes(jail: Netlink, there: Attached, interface: Interface) -> None:
    wanted = [routes.default(each) for each in (interface["gateway"], interface["gateway6"]) if each]
    wanted += interface["routes"]
    for route in wanted:
        if route not in there.routes:
            jail.replace_route(there.inside, route, onlink=_is_beyond(route, interface["addresses"]))
    surplus = [route for route in there.routes if route not in wanted]
    # Replaced ones are gone already.
    left = _present(jail, there) if surplus else []
    for route in surplus:
        if route in left:
            jail.delete_route(there.inside, route)


def _present(jail: Netlink, there: Attached) -> list[Route]:
    return [route for ifindex, route in jail.routes() if ifindex == there.inside.ifindex]


def _is_beyond(route: Route, addresses: Iterable[str]) -> bool:
    """Whether a neighbour is one of whom no address tells: the host's end of a routed interface."""
    via = ipaddress.ip_address(route["via"] or "fe80::1")
    if via.version == 6 and via.is_link_local:
        return False
    return not any(via in ipaddress.ip_interface(address).network for address in addresses)
