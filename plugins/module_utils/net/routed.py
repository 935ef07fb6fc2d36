# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces that no bridge joins: the host routes single addresses to the jail, and is its only neighbour.

At its end the host has the gateway's address, the same at every such end. The device that is named as parent has
neighbours of its own, to whom the host can answer for the jail (ARP, RFC 1027; neighbour discovery, RFC 4389).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from ..errors import JailError
from . import pairs, proxies
from .addresses import Interface, carried, hosts, in_order
from .attached import Attached, Site
from .netlink import Attributes, Link
from .routes import MAIN, USUAL_METRIC, Route

# The addresses there are ours to give; a router's advertisement from the jail would be its own.
_SETTINGS = {"disable_ipv6": "0", "addr_gen_mode": "1", "accept_ra": "0"}


class Routed:
    """See :class:`.attached.Kind`."""

    def check(self, site: Site, interface: Interface) -> None:
        """The parent is there."""
        _parent(site, interface)

    def fits(self, there: Attached, interface: Interface) -> bool:
        """It can change parents."""
        return there.type == interface["type"]

    def make(self, site: Site, interface: Interface, taken: Sequence[Attached]) -> Attached:
        """A pair."""
        here: Attributes = {
            "ifname": pairs.free_host_name(site.slot, taken),
            "address": f"fe{interface['mac'][2:]}",
            "mtu": interface["mtu"],
        }
        inner: Attributes = {"ifname": interface["name"], "address": interface["mac"], "mtu": interface["mtu"]}
        return pairs.create(site, "routed", here, inner)

    def adjust(self, site: Site, there: Attached, interface: Interface) -> bool:
        """Mark, outer end, its addresses, the host's routes, and for whom it answers."""
        outside = pairs.outside_of(there)
        mark = pairs.routed_alias(site, interface["name"], interface["parent"])
        marked = outside.alias == mark
        if not marked:
            pairs.complete(site, there.inside, outside, mark, _SETTINGS)
        elif not outside.up:
            site.host.set_link(outside, {"state": "up"})
        if outside.mtu != interface["mtu"]:
            site.host.set_link(outside, {"mtu": interface["mtu"]})
        changed = _adjust_addresses(site, outside, carried(interface))
        proxies.move(site.host, there.parent, _led(site, outside), _parent(site, interface), hosts(interface))
        _adjust_routes(site, outside, hosts(interface))
        return changed or not marked or not outside.up

    def show(self, site: Site, there: Attached, interface: Interface) -> Interface:
        """Addresses to which the host has a route, gateways that it is at its end, and where it answers for all."""
        outside = pairs.outside_of(there)
        routed = {str(ipaddress.ip_network(route["to"]).network_address) for route in _routes(site, outside)}
        own = [each for each in interface["addresses"] if each.partition("/")[0] in routed and outside.up]
        have = {address.partition("/")[0] for ifindex, address in site.host.addresses() if ifindex == outside.ifindex}
        parent = site.host.link(there.parent) if there.parent else None
        answered = bool(parent) and proxies.answers(site.host, parent, hosts(interface))
        return {
            **interface,
            "addresses": own,
            "gateway": interface["gateway"] if interface["gateway"] in have else None,
            "gateway6": interface["gateway6"] if interface["gateway6"] in have else None,
            "parent": there.parent if answered else None,
        }

    def remove(self, site: Site, there: Attached) -> None:
        """Both ends, with the host's routes; and it answers for nobody."""
        outside = pairs.outside_of(there)
        proxies.move(site.host, there.parent, _led(site, outside), None, ())
        site.host.delete_link(outside)

    def is_ready(self, site: Site, there: Attached) -> bool:
        """See :meth:`.veth.Veth.is_ready`."""
        inner = site.jail.link(there.inside.ifindex)
        return bool(inner and inner.operational)


def _led(site: Site, outside: Link) -> list[str]:
    """The addresses that the host leads there: what is inside may be the jail's own doing."""
    return [str(ipaddress.ip_network(route["to"]).network_address) for route in _routes(site, outside)]


def _parent(site: Site, interface: Interface) -> Link | None:
    if not interface["parent"]:
        return None
    found = site.host.link(interface["parent"])
    if not found:
        raise JailError(
            f"interface {interface['name']}: the host has no device {interface['parent']}, which is its parent",
            option="interfaces",
            advice="make the device first, or name another",
        )
    return found


def _adjust_addresses(site: Site, outside: Link, wanted: Iterable[str]) -> bool:
    have = {address for ifindex, address in site.host.addresses() if ifindex == outside.ifindex}
    missing = set(wanted) - have
    for address in have - set(wanted):
        site.host.delete_address(outside, address)
    for address in in_order(missing):
        site.host.add_address(outside, address)
    return bool(missing)


def _routes(site: Site, outside: Link) -> list[Route]:
    return [route for ifindex, route in site.host.routes() if ifindex == outside.ifindex]


def _adjust_routes(site: Site, outside: Link, wanted: Iterable[str]) -> None:
    """Lead these addresses there and no others."""
    have = _routes(site, outside)
    needed = [_to(host) for host in wanted]
    for route in needed:
        if route not in have:
            site.host.replace_route(outside, route)
    for route in have:
        if route not in needed:
            site.host.delete_route(outside, route)


def _to(host: str) -> Route:
    network = ipaddress.ip_network(host)
    return {"to": str(network), "via": None, "metric": USUAL_METRIC[network.version], "table": MAIN}
