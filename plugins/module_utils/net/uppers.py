# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces that share a device of the host: macvlan with a MAC address of its own, ipvlan with the device's
(ip-link(8)). The host and the jail do not hear each other by it; other jails on that device do.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from ..errors import JailError
from ..kernel import namespaces
from . import inside, sysctl
from .addresses import Interface
from .attached import Attached, Site
from .netlink import Attributes, Link

_MODES: dict[str, Attributes] = {"macvlan": {"macvlan_mode": "bridge"}, "ipvlan": {"ipvlan_mode": 0}}  # l2


def find(site: Site, device: Link) -> Attached | None:
    """The interface that this device of the jail is: one whose parent is a device of another namespace, as only the
    host can make it."""
    if device.kind not in _MODES or not device.peer_is_away:
        return None
    parent = site.host.link(device.peer)
    return Attached(device.kind, device, None, parent, parent.name if parent else None)


class Upper:
    """See :class:`.attached.Kind`."""

    def check(self, site: Site, interface: Interface) -> None:
        """The parent is there, and takes packets as large."""
        parent = site.host.link(str(interface["parent"]))
        if not parent:
            raise JailError(
                f"interface {interface['name']}: the host has no device {interface['parent']}, which is its parent",
                option="interfaces",
                advice="make the device first, or name another",
            )
        if parent.mtu < interface["mtu"]:
            raise JailError(
                f"interface {interface['name']}: mtu {interface['mtu']} is more than the {parent.mtu} of its parent "
                f"{parent.name}",
                option="interfaces",
                advice="give it a smaller one",
            )

    def fits(self, there: Attached, interface: Interface) -> bool:
        """It cannot change parents."""
        return there.type == interface["type"] and there.parent == interface["parent"]

    def make(self, site: Site, interface: Interface, _taken: Sequence[Attached]) -> Attached:
        """In the jail at once, so that its name meets none of the host's."""
        kind, parent = interface["type"], site.host.link(str(interface["parent"]))
        attributes: Attributes = {
            "ifname": interface["name"],
            "mtu": interface["mtu"],
            "net_ns_fd": site.namespace,
            **({"address": interface["mac"]} if interface["mac"] else {}),
            **_MODES[kind],
        }
        if parent:
            _add(site, kind, parent, attributes)
        made = site.jail.link(interface["name"])
        if not made or not parent:
            raise JailError(
                f"interface {interface['name']} went away while it was made", option="interfaces", advice="try again"
            )
        return Attached(kind, made, None, parent, parent.name)

    def adjust(self, site: Site, there: Attached, _interface: Interface) -> bool:
        """There is nothing of it on the host's side."""
        if not there.inside.up:
            inside.prepare(site.namespace, there.inside.name)
        if not there.inside.up and there.type == "ipvlan":
            # That which follows from the MAC address is its parent's.
            with namespaces.inside(site.namespace, "net"):
                sysctl.write_where_present(f"net/ipv6/conf/{there.inside.name}/addr_gen_mode", "1")
        return False

    def show(self, _site: Site, there: Attached, interface: Interface) -> Interface:
        """The parent is as the kernel says."""
        return {**interface, "parent": there.parent, "mac": "" if there.type == "ipvlan" else interface["mac"]}

    def remove(self, site: Site, there: Attached) -> None:
        """From inside: it has no other end."""
        site.jail.delete_link(there.inside)

    def is_ready(self, site: Site, there: Attached) -> bool:
        """As the parent is: one without a carrier is nothing to wait for."""
        inner = site.jail.link(there.inside.ifindex)
        return bool((inner and inner.operational) or not there.above or not there.above.operational)


def _add(site: Site, kind: str, parent: Link, attributes: Attributes) -> None:
    try:
        site.host.add_upper(kind, parent, attributes)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            raise JailError(
                f"the kernel has no {kind} devices", option="interfaces", advice=f"it needs CONFIG_{kind.upper()}"
            ) from error
        if error.errno == errno.EEXIST:
            raise JailError(
                f"the jail has a device {attributes['ifname']} of its own",
                option="interfaces",
                advice="give the interface another name or remove that device",
            ) from error
        raise
