# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A jail's interfaces: veth pairs (veth(4)) with one end in the jail and the other in a bridge on the host.

The host's end is called ``vj{slot}n{number}`` and has the alias ``jail NAME INTERFACE`` for people to read. A jail's
interface is ours when it is a veth whose other end, as the kernel says by index, is a device of the host with such a
name: even a jail that may make devices has no say in the names of the host's. All other devices of a jail are its own.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..errors import JailError
from ..kernel import namespaces
from . import bridges, sysctl
from .addresses import Interface, gateways, in_order
from .netlink import Attributes, DefaultRoute, Link, Netlink

_HOST_NAME = re.compile(r"vj(\d+)n(\d+)")
_PORT_SECONDS, _POLL_SECONDS = 1.0, 0.001


class Pair(NamedTuple):
    """One interface of a jail as the kernel has it."""

    inside: Link
    outside: Link
    bridge: Link | None
    addresses: frozenset[str]
    """With prefix length, without the link-local ones, which the kernel gives."""
    routes: tuple[DefaultRoute, ...]
    """The default routes by this interface."""


def open_in(pid: int) -> Netlink:
    """A netlink socket in the network namespace of ``pid``."""
    with namespaces.network_namespace(pid):
        return Netlink()


def read(host: Netlink, pid: int, slot: int) -> list[Interface]:
    """The interfaces of the jail with this ``slot`` whose network namespace is that of ``pid``, sorted by name.

    They are described by what works: an interface that is down has no addresses, a host's end that is down is in no
    bridge, and a gateway counts when the default route is there and, on a bridge of ours, the address that it leads to.
    ``masquerade`` is not known here and is ``False``.
    """
    with open_in(pid) as jail:
        pairs = survey(host, jail, slot)
    found = sorted((_describe(pair) for pair in pairs), key=lambda interface: interface["name"])
    if any(gateways(interface) for interface in found):
        _forget_dead_gateways(host, pairs, found)
    return found


def survey(host: Netlink, jail: Netlink, slot: int) -> list[Pair]:
    """The pairs of the jail with this ``slot``."""
    ends = [(inside, _other_end(host, inside, slot)) for inside in jail.links() if inside.kind == "veth"]
    ours = [(inside, outside) for inside, outside in ends if outside]
    if not ours:
        return []
    addresses, routes = jail.addresses(), jail.default_routes()
    masters = {master: host.link(master) for master in {outside.master for _inside, outside in ours if outside.master}}
    return [
        Pair(
            inside,
            outside,
            masters.get(outside.master),
            frozenset(
                text for ifindex, text in addresses if ifindex == inside.ifindex and not text.startswith("fe80:")
            ),
            tuple(route for route in routes if route.ifindex == inside.ifindex),
        )
        for inside, outside in ours
    ]


def _other_end(host: Netlink, inside: Link, slot: int) -> Link | None:
    outside = host.link(inside.peer) if inside.peer_is_away else None
    # A jail may hold pairs of namespaces of its own: there the index is a coincidence, and does not lead back.
    return outside if outside and outside.peer == inside.ifindex and _number(outside, slot) is not None else None


def _number(outside: Link, slot: int) -> int | None:
    match = _HOST_NAME.fullmatch(outside.name)
    return int(match[2]) if match and int(match[1]) == slot else None


def _describe(pair: Pair) -> Interface:
    bridge = pair.bridge
    carries = bridge and pair.outside.up and (bridge.up or not bridges.is_ours(bridge))
    return {
        "name": pair.inside.name,
        "bridge": bridge.name if bridge and carries else None,
        "addresses": in_order(pair.addresses) if pair.inside.up else [],
        "gateway": _gateway(pair, 4),
        "gateway6": _gateway(pair, 6),
        "mac": pair.inside.mac,
        "mtu": pair.inside.mtu,
        "masquerade": False,
    }


def _gateway(pair: Pair, version: int) -> str | None:
    """Where the default route by this interface leads; ``None`` also when the best ones lead to several places."""
    routes = sorted((route for route in pair.routes if route.version == version), key=lambda route: route.metric)
    best = {route.gateway for route in routes if route.metric == routes[0].metric}
    return best.pop() if len(best) == 1 else None


def _forget_dead_gateways(host: Netlink, pairs: Sequence[Pair], interfaces: Sequence[Interface]) -> None:
    ours = {pair.inside.name: pair.bridge for pair in pairs if pair.bridge and bridges.is_ours(pair.bridge)}
    have = set(host.addresses())
    for interface in interfaces:
        bridge = ours.get(interface["name"])
        if bridge:
            alive = {each.partition("/")[0] for each in gateways(interface) if (bridge.ifindex, each) in have}
            interface["gateway"] = interface["gateway"] if interface["gateway"] in alive else None
            interface["gateway6"] = interface["gateway6"] if interface["gateway6"] in alive else None


def converge(
    host: Netlink, pid: int, name: str, slot: int, wanted: Sequence[Interface], *, masters: Mapping[str | None, Link]
) -> None:
    """Make the interfaces of the jail ``name`` exactly those ``wanted``, and touch nothing that is as it should be.

    :param masters: every wanted bridge by name.
    :raises OSError: what the kernel refused.
    """
    with open_in(pid) as jail:
        live = {pair.inside.name: pair for pair in survey(host, jail, slot)}
        for gone in live.keys() - {interface["name"] for interface in wanted}:
            host.delete_link(live.pop(gone).outside)
        taken = {_number(pair.outside, slot) for pair in live.values()}
        free = (number for number in itertools.count() if number not in taken)
        news = []
        for interface in wanted:
            bridge = masters[interface["bridge"]]
            pair = live.get(interface["name"]) or _create(
                host, jail, pid, host_name=f"vj{slot}n{next(free)}", interface=interface, bridge=bridge
            )
            changed = _adjust_outside(host, pair, bridge, interface, f"jail {name} {interface['name']}")
            if _adjust_inside(jail, pair, interface) or changed:
                news.append(pair._replace(bridge=bridge, inside=pair.inside._replace(mac=interface["mac"])))
        _tell_neighbours(host, jail, news)


def _create(host: Netlink, jail: Netlink, pid: int, *, host_name: str, interface: Interface, bridge: Link) -> Pair:
    name = interface["name"]
    here: Attributes = {
        "ifname": host_name,
        # High, as a bridge of the administrator may go by its lowest port's address: it must not become ours.
        "address": f"fe{interface['mac'][2:]}",
        "mtu": _outside_mtu(interface, bridge),
        "master": bridge.ifindex,
    }
    there: Attributes = {"ifname": name, "address": interface["mac"], "mtu": interface["mtu"]}
    namespace = namespaces.open_namespace(pid, "net")
    try:
        there["net_ns_fd"] = namespace
        _add_veth(host, here, there)
    finally:
        os.close(namespace)
    # The host's end is a port of a bridge and no host on that network.
    sysctl.write_where_present(f"net/ipv6/conf/{host_name}/disable_ipv6", "1")
    with namespaces.network_namespace(pid):
        # A router's advertisements would add addresses and routes to those that are asked for.
        sysctl.write_where_present(f"net/ipv6/conf/{name}/accept_ra", "0")
        sysctl.write_where_present(f"net/ipv6/conf/{name}/ndisc_notify", "1")
        sysctl.write(f"net/ipv4/conf/{name}/arp_notify", "1")
        # Else an IPv4 address takes all later ones of its prefix with it when it goes.
        sysctl.write(f"net/ipv4/conf/{name}/promote_secondaries", "1")
    inside = jail.link(name)
    outside = host.link(host_name)
    if not inside or not outside:
        raise JailError(f"interface {name} went away while it was made", option="interfaces", advice="try again")
    return Pair(inside, outside, bridge, frozenset(), ())


def _add_veth(host: Netlink, here: Attributes, there: Attributes) -> None:
    try:
        host.add_veth(here, there)
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
        # Left from the jail's last run: the kernel takes a namespace down some time after its last process.
        stale = host.link(str(here["ifname"]))
        if not stale or stale.kind != "veth":
            raise JailError(
                f"the jail has a device {there['ifname']} of its own, or the host one called {here['ifname']}",
                option="interfaces",
                advice="give the interface another name or remove that device",
            ) from error
        host.delete_link(stale)
        host.add_veth(here, there)


def _outside_mtu(interface: Interface, bridge: Link) -> int:
    """A bridge takes the least MTU of its ports: right for one of ours, but the administrator's must not change."""
    return interface["mtu"] if bridges.is_ours(bridge) else max(interface["mtu"], bridge.mtu)


def _adjust_outside(host: Netlink, pair: Pair, bridge: Link, interface: Interface, alias: str) -> bool:
    """Whether anything was changed."""
    outside = pair.outside
    changes: Attributes = {}
    if outside.master != bridge.ifindex:
        changes["master"] = bridge.ifindex
    if outside.mtu != _outside_mtu(interface, bridge):
        changes["mtu"] = _outside_mtu(interface, bridge)
    if outside.alias != alias:
        changes["ifalias"] = alias
    if not outside.up:
        changes["state"] = "up"
    if changes:
        host.set_link(outside, changes)
    return bool(changes)


def _adjust_inside(jail: Netlink, pair: Pair, interface: Interface) -> bool:
    """Whether the jail's neighbours know it otherwise than it is now."""
    inside = pair.inside
    changes: Attributes = {}
    if inside.mac != interface["mac"]:
        changes["address"] = interface["mac"]
    if inside.mtu != interface["mtu"]:
        changes["mtu"] = interface["mtu"]
    if changes:
        jail.set_link(inside, changes)
    _adjust_addresses(jail, pair, set(interface["addresses"]))
    if not inside.up:
        jail.set_link(inside, {"state": "up"})
    _adjust_route(jail, pair, 4, interface["gateway"])
    _adjust_route(jail, pair, 6, interface["gateway6"])
    return not inside.up or "address" in changes or not pair.addresses >= set(interface["addresses"])


def _adjust_addresses(jail: Netlink, pair: Pair, wanted: set[str]) -> None:
    missing = wanted - pair.addresses
    surplus = pair.addresses - wanted
    hosts = {address.partition("/")[0] for address in missing}
    # IPv6 has each address once, so a new prefix length means a moment without; all others are added first and removed
    # later, for a device that loses its last address loses its routes.
    first = {address for address in surplus if ":" in address and address.partition("/")[0] in hosts}
    for address in first:
        jail.delete_address(pair.inside, address)
    for address in in_order(missing):
        jail.add_address(pair.inside, address)
    for address in surplus - first:
        jail.delete_address(pair.inside, address)


def _adjust_route(jail: Netlink, pair: Pair, version: int, wanted: str | None) -> None:
    if pair.inside.up and _gateway(pair, version) == wanted:
        return
    if wanted:
        jail.replace_default_route(pair.inside, wanted)
    for route in jail.default_routes() if pair.routes else []:
        if route.version == version and route.ifindex == pair.inside.ifindex and route.gateway != wanted:
            jail.delete_default_route(route)


def _tell_neighbours(host: Netlink, jail: Netlink, pairs: Sequence[Pair]) -> None:
    """Wait until packets pass, and announce the addresses.

    The kernel turns a bridge's port on some milliseconds after its link came up. A packet before that is lost, and one
    that asks for a neighbour's MAC address is only repeated after a second. And a neighbour that knows the address from
    another jail would use that one's MAC address for up to a minute.
    """
    deadline = time.monotonic() + _PORT_SECONDS
    for pair in pairs:
        while pair.bridge and pair.bridge.up and host.is_idle_port(pair.outside) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        jail.announce(pair.inside)
