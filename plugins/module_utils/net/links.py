# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A jail's interfaces, their addresses and default routes: read from the kernel, and changed where they differ."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ..kernel import namespaces
from . import bridges, pairs
from .addresses import USUAL, Interface, gateways, in_order
from .ingress import link_local
from .netlink import Attributes, Link, Netlink
from .pairs import Pair

_READY_SECONDS, _POLL_SECONDS = 1.0, 0.001


class Live(NamedTuple):
    """An interface as the kernel has it.

    :param device: the name of its host's end.
    :param isolated: whether the bridge sends nothing from there to others that are.
    """

    interface: Interface
    device: str
    isolated: bool


def _open_in(namespace: int) -> Netlink:
    with namespaces.inside(namespace, "net"):
        return Netlink()


def read(host: Netlink, namespace: int, slot: int) -> list[Live]:
    """The interfaces of the jail with this ``slot`` in the network namespace of this descriptor, sorted by name.

    They are described by what works: an interface that is down has no addresses, a host's end that is down is in no
    bridge, and a gateway counts when the default route is there and, on a bridge of ours, the address that it leads to.
    What the host's filter decides is not known here, and is as usual.
    """
    with _open_in(namespace) as jail:
        live = sorted(pairs.survey(host, jail, slot), key=lambda pair: pair.inside.name)
    found = [_describe(pair) for pair in live]
    if any(gateways(interface) for interface in found):
        _forget_dead_gateways(host, live, found)
    return [Live(each, pair.outside.name, pair.outside.isolated) for each, pair in zip(found, live)]


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
        **USUAL,
    }


def _gateway(pair: Pair, version: int) -> str | None:
    """Where the default route by this interface leads; ``None`` also when the best ones lead to several places."""
    routes = sorted((route for route in pair.routes if route.version == version), key=lambda route: route.metric)
    best = {route.gateway for route in routes if route.metric == routes[0].metric}
    return best.pop() if len(best) == 1 else None


def _forget_dead_gateways(host: Netlink, live: Sequence[Pair], interfaces: Sequence[Interface]) -> None:
    ours = {pair.inside.name: pair.bridge for pair in live if pair.bridge and bridges.is_ours(pair.bridge)}
    have = set(host.addresses())
    for interface in interfaces:
        bridge = ours.get(interface["name"])
        if bridge:
            alive = {each.partition("/")[0] for each in gateways(interface) if (bridge.ifindex, each) in have}
            interface["gateway"] = interface["gateway"] if interface["gateway"] in alive else None
            interface["gateway6"] = interface["gateway6"] if interface["gateway6"] in alive else None


def converge(
    host: Netlink,
    namespace: int,
    name: str,
    slot: int,
    wanted: Sequence[Interface],
    *,
    masters: Mapping[str, Link],
    guard: Callable[[Mapping[str, Interface], Sequence[str]], None],
) -> None:
    """Make the interfaces of the jail ``name`` exactly those ``wanted``, and touch nothing that is as it should be.

    :param masters: every wanted bridge by name.
    :param guard: makes the filter, from the interfaces by host's end and the names of host's ends that are gone; before
        any packet passes that did not pass until now.
    :raises OSError: what the kernel refused.
    :raises JailError: when the jail has a device of its own with a wanted name.
    """
    with _open_in(namespace) as jail:
        live = {pair.inside.name: pair for pair in pairs.survey(host, jail, slot)}
        gone = [live.pop(name).outside for name in live.keys() - {interface["name"] for interface in wanted}]
        for outside in gone:
            host.delete_link(outside)
        for interface in wanted:
            if interface["name"] not in live:
                here, there = _ends(
                    pairs.free_host_name(slot, live.values()), interface, masters[str(interface["bridge"])]
                )
                live[interface["name"]] = pairs.create(host, jail, namespace, here, there)
        used = {pair.outside.name for pair in live.values()}
        free = [outside.name for outside in gone if outside.name not in used]
        guard({live[interface["name"]].outside.name: interface for interface in wanted}, free)
        news = []
        for interface in wanted:
            pair, bridge = live[interface["name"]], masters[str(interface["bridge"])]
            if _converge_one(host, jail, namespace, pair, interface, bridge, f"jail {name} {interface['name']}"):
                news.append(pair._replace(bridge=bridge, inside=pair.inside._replace(mac=interface["mac"])))
        _tell_neighbours(host, jail, news)


def _converge_one(
    host: Netlink, jail: Netlink, namespace: int, pair: Pair, interface: Interface, bridge: Link, alias: str
) -> bool:
    """Whether the jail's neighbours know it otherwise than it is now."""
    # Before it is up: isolated from its first packet on.
    moved = _adjust_port(host, pair, interface, bridge)
    if pair.outside.alias != alias:
        pairs.complete(host, namespace, pair, alias)
    changed = _adjust_outside(host, pair, interface, bridge)
    return _adjust_inside(jail, pair, interface) or moved or changed or pair.outside.alias != alias


def _ends(host_name: str, interface: Interface, bridge: Link) -> tuple[Attributes, Attributes]:
    """The attributes of a new pair, on the host and in the jail."""
    here: Attributes = {
        "ifname": host_name,
        # High, as a bridge of the administrator may go by its lowest port's address: it must not become ours.
        "address": f"fe{interface['mac'][2:]}",
        "mtu": _outside_mtu(interface, bridge),
        "master": bridge.ifindex,
    }
    return here, {"ifname": interface["name"], "address": interface["mac"], "mtu": interface["mtu"]}


def _outside_mtu(interface: Interface, bridge: Link) -> int:
    """A bridge takes the least MTU of its ports: right for one of ours, but the administrator's must not change."""
    return interface["mtu"] if bridges.is_ours(bridge) else max(interface["mtu"], bridge.mtu)


def _adjust_port(host: Netlink, pair: Pair, interface: Interface, bridge: Link) -> bool:
    """Whether anything was changed."""
    moved = pair.outside.master != bridge.ifindex
    if moved:
        # A port of a new bridge is open: not before it is isolated there.
        host.set_link(pair.outside, {"master": bridge.ifindex, **({"state": "down"} if interface["isolate"] else {})})
    isolated = pair.outside.isolated and not moved
    if isolated != bool(interface["isolate"]):
        host.isolate(pair.outside, bool(interface["isolate"]))
        if moved and pair.outside.up:
            host.set_link(pair.outside, {"state": "up"})
        return True
    return moved


def _adjust_outside(host: Netlink, pair: Pair, interface: Interface, bridge: Link) -> bool:
    """Whether anything was changed."""
    changes: Attributes = {}
    if pair.outside.mtu != _outside_mtu(interface, bridge):
        changes["mtu"] = _outside_mtu(interface, bridge)
    if not pair.outside.up:
        changes["state"] = "up"
    if changes:
        host.set_link(pair.outside, changes)
    return bool(changes)


def _adjust_inside(jail: Netlink, pair: Pair, interface: Interface) -> bool:
    """Whether the jail's neighbours know it otherwise than it is now."""
    changes: Attributes = {}
    if pair.inside.mac != interface["mac"]:
        _renew_link_local(jail, pair, f"{link_local(interface['mac'])}/64")
        changes["address"] = interface["mac"]
    if pair.inside.mtu != interface["mtu"]:
        changes["mtu"] = interface["mtu"]
    if changes:
        jail.set_link(pair.inside, changes)
    _adjust_addresses(jail, pair, set(interface["addresses"]))
    if not pair.inside.up:
        jail.set_link(pair.inside, {"state": "up"})
    _adjust_route(jail, pair, 4, interface["gateway"])
    _adjust_route(jail, pair, 6, interface["gateway6"])
    return not pair.inside.up or "address" in changes or not pair.addresses >= set(interface["addresses"])


def _renew_link_local(jail: Netlink, pair: Pair, wanted: str) -> None:
    """The kernel keeps the address that followed from the old MAC address, under which nothing would get out."""
    if pair.link_local and wanted not in pair.link_local:
        jail.add_address(pair.inside, wanted)
    for address in pair.link_local - {wanted}:
        jail.delete_address(pair.inside, address)


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


def _tell_neighbours(host: Netlink, jail: Netlink, changed: Sequence[Pair]) -> None:
    """Wait until packets pass, and announce the addresses.

    A neighbour that knows an address from another jail would use that one's MAC address for up to a minute.
    """
    deadline = time.monotonic() + _READY_SECONDS
    for pair in changed:
        while not _is_ready(host, jail, pair) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        jail.announce(pair.inside)


def _is_ready(host: Netlink, jail: Netlink, pair: Pair) -> bool:
    """Whether packets pass, or nothing is to be waited for.

    Some milliseconds after a link came up the kernel turns on the bridge's port and IPv6 inside. Until then packets are
    lost, and one that asks for a neighbour's MAC address is only repeated after a second.
    """
    if not pair.bridge or not pair.bridge.up:
        return True
    inside = jail.link(pair.inside.ifindex)
    return bool(inside and inside.operational) and not host.is_idle_port(pair.outside)
