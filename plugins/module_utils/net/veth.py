# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces that are ports of a bridge: of ours, or of the administrator's."""

from __future__ import annotations

from collections.abc import Sequence

from . import bridges, pairs
from .addresses import Interface
from .attached import Attached, Site
from .netlink import Attributes, Link

# The host's end is a port of a bridge and no host on that network.
_SETTINGS = {"disable_ipv6": "1"}


class Veth:
    """See :class:`.attached.Kind`."""

    def check(self, _site: Site, _interface: Interface) -> None:
        """The bridge is there: :func:`.bridges.ensure` has seen to it."""

    def fits(self, there: Attached, interface: Interface) -> bool:
        """It can change bridges."""
        return there.type == interface["type"]

    def make(self, site: Site, interface: Interface, taken: Sequence[Attached]) -> Attached:
        """A pair, the outer end already a port."""
        bridge = _bridge(site, interface)
        here: Attributes = {
            "ifname": pairs.free_host_name(site.slot, taken),
            # High, as a bridge of the administrator may go by its lowest port's address: it must not become ours.
            "address": f"fe{interface['mac'][2:]}",
            "mtu": _outside_mtu(interface, bridge),
            "master": bridge.ifindex,
        }
        inner: Attributes = {"ifname": interface["name"], "address": interface["mac"], "mtu": interface["mtu"]}
        return pairs.create(site, "veth", here, inner)

    def adjust(self, site: Site, there: Attached, interface: Interface) -> bool:
        """Port, mark and outer end."""
        outside, bridge = pairs.outside_of(there), _bridge(site, interface)
        # Before it is up: isolated from its first packet on.
        moved = _adjust_port(site, outside, interface, bridge)
        mark = pairs.alias(site, interface["name"])
        marked = outside.alias == mark
        if not marked:
            pairs.complete(site, there.inside, outside, mark, _SETTINGS)
        return _adjust_outside(site, outside, interface, bridge) or moved or not marked

    def show(self, site: Site, there: Attached, interface: Interface) -> Interface:
        """A host's end that is down is in no bridge, and a gateway on a bridge of ours counts when that has it."""
        bridge, outside = there.above, pairs.outside_of(there)
        ours = bool(bridge and bridges.is_ours(bridge))
        carries = bridge and outside.up and (bridge.up or not ours)
        shown: Interface = {**interface, "bridge": bridge.name if bridge and carries else None}
        return bridges.without_dead_gateways(site.host, bridge, shown) if bridge and ours else shown

    def remove(self, site: Site, there: Attached) -> None:
        """Both ends."""
        site.host.delete_link(pairs.outside_of(there))

    def is_ready(self, site: Site, there: Attached) -> bool:
        """Some milliseconds after a link came up the kernel turns on the bridge's port and IPv6 inside. Until then
        packets are lost, and one that asks for a neighbour's MAC address is only repeated after a second."""
        outside = site.host.link(pairs.outside_of(there).ifindex)
        bridge = site.host.link(outside.master) if outside and outside.master else None
        if not outside or not bridge or not bridge.up:
            return True
        inner = site.jail.link(there.inside.ifindex)
        return bool(inner and inner.operational) and not site.host.is_idle_port(outside)


def _bridge(site: Site, interface: Interface) -> Link:
    return site.bridges[str(interface["bridge"])]


def _outside_mtu(interface: Interface, bridge: Link) -> int:
    """A bridge takes the least MTU of its ports: right for one of ours, but the administrator's must not change."""
    return interface["mtu"] if bridges.is_ours(bridge) else max(interface["mtu"], bridge.mtu)


def _adjust_port(site: Site, outside: Link, interface: Interface, bridge: Link) -> bool:
    """Whether anything was changed."""
    moved = outside.master != bridge.ifindex
    if moved:
        # A port of a new bridge is open: not before it is isolated there.
        site.host.set_link(outside, {"master": bridge.ifindex, **({"state": "down"} if interface["isolate"] else {})})
    isolated = outside.isolated and not moved
    if isolated != bool(interface["isolate"]):
        site.host.isolate(outside, bool(interface["isolate"]))
        if moved and outside.up:
            site.host.set_link(outside, {"state": "up"})
        return True
    return moved


def _adjust_outside(site: Site, outside: Link, interface: Interface, bridge: Link) -> bool:
    """Whether anything was changed."""
    changes: Attributes = {}
    if outside.mtu != _outside_mtu(interface, bridge):
        changes["mtu"] = _outside_mtu(interface, bridge)
    if not outside.up:
        changes["state"] = "up"
    if changes:
        site.host.set_link(outside, changes)
    return bool(changes)
