# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices of the host that a jail has to itself for as long as it runs.

When a network namespace ends with a device in it, the kernel moves the device to the first network namespace if it is
one of hardware, under the name that it had there, or ``dev0`` and so on where that is taken, and down; it removes all
other kinds (``default_device_exit_net()`` in its net/core/dev.c). So a device is taken out before that, and where a
jail ended by itself, what the kernel has put back gets its name and state again.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Sequence

from ..errors import JailError
from ..kernel import namespaces
from . import inside, lent
from .addresses import Interface
from .attached import Attached, Site
from .lent import Lent
from .netlink import Attributes, Link, Netlink

_BY_KERNEL = re.compile(r"dev\d+")
_RETURN_SECONDS, _POLL_SECONDS = 2.0, 0.02


def find(site: Site, device: Link) -> Attached | None:
    """The interface that this device of the jail is: one that is on record."""
    for name, entry in lent.of(site.slot).items():
        # By its name only where a run was killed before the number was known: names and kinds are the jail's to give.
        ours = device.ifindex == entry["ifindex"] if entry["ifindex"] else device.name == name
        if ours and device.kind == entry["kind"]:
            return Attached("phys", device, parent=entry["parent"], own_mac=entry["mac"])
    return None


class Phys:
    """See :class:`.attached.Kind`."""

    def check(self, site: Site, interface: Interface) -> None:
        """It is there, or in this jail already, and the host does without it."""
        parent = str(interface["parent"])
        if any(entry["parent"] == parent for entry in lent.of(site.slot).values()):
            return
        link = site.host.link(parent)
        why = None
        if not link:
            why = "the host has no device of that name"
        elif link.master:
            master = site.host.link(link.master)
            why = f"it is a port of {master.name if master else 'another device'}"
        else:
            own = [address for ifindex, address in site.host.addresses() if ifindex == link.ifindex]
            used = [address for address in own if not address.startswith("fe80:")]
            why = f"the host has the address {used[0]} there" if used else None
        if why:
            raise JailError(
                f"interface {interface['name']} cannot be the device {parent}: {why}",
                option="interfaces",
                advice="name a device that nobody uses",
            )

    def fits(self, there: Attached, interface: Interface) -> bool:
        """It cannot be another device."""
        return there.type == interface["type"] and there.parent == interface["parent"]

    def make(self, site: Site, interface: Interface, _taken: Sequence[Attached]) -> Attached:
        """Moved, and renamed."""
        name, link = interface["name"], site.host.link(str(interface["parent"]))
        if site.jail.link(name):
            raise JailError(
                f"the jail has a device {name} of its own",
                option="interfaces",
                advice="give the interface another name or remove that device",
            )
        if not link:
            raise JailError(f"the device {interface['parent']} went away", option="interfaces", advice="try again")
        entry = _as_it_is(link, interface)
        before = lent.of(site.slot).get(name)
        if before and before["parent"] == link.name:
            entry = {**before, "asked": interface["mac"]}  # a run that failed has put it down
        lent.note(site.slot, name, entry)
        site.host.set_link(link, {"state": "down"})
        site.host.set_link(link, {"net_ns_fd": site.namespace, "ifname": name})
        made = site.jail.link(name)
        if not made:
            raise JailError(f"interface {name} went away while it was made", option="interfaces", advice="try again")
        lent.note(site.slot, name, {**entry, "ifindex": made.ifindex})
        return Attached("phys", made, parent=link.name, own_mac=link.mac)

    def adjust(self, site: Site, there: Attached, interface: Interface) -> bool:
        """There is nothing of it on the host's side; on record is what it is asked to be."""
        if not there.inside.up:
            inside.prepare(site.namespace, there.inside.name)
        name, entry = _entry(site, there)
        if entry["asked"] != interface["mac"]:
            lent.note(site.slot, name, {**entry, "asked": interface["mac"]})
        return False

    def show(self, site: Site, there: Attached, interface: Interface) -> Interface:
        """By record, but for the MAC address."""
        _name, entry = _entry(site, there)
        own = not entry["asked"] and interface["mac"] == entry["mac"]
        return {**interface, "parent": entry["parent"], "mac": "" if own else interface["mac"]}

    def remove(self, site: Site, there: Attached) -> None:
        """Given back."""
        name, entry = _entry(site, there)
        _move_out(site, there.inside, entry)
        lent.strike(site.slot, name)

    def is_ready(self, _site: Site, _there: Attached) -> bool:
        """Whether there is a cable in it is not for us to wait for."""
        return True


def _as_it_is(link: Link, interface: Interface) -> Lent:
    return {
        "parent": link.name,
        "kind": link.kind,
        "mac": link.mac,
        "mtu": link.mtu,
        "up": link.up,
        "ifindex": 0,
        "asked": interface["mac"],
    }


def _entry(site: Site, there: Attached) -> tuple[str, Lent]:
    return next((name, entry) for name, entry in lent.of(site.slot).items() if entry["parent"] == there.parent)


def _move_out(site: Site, device: Link, entry: Lent) -> None:
    site.jail.set_link(device, {"state": "down"})
    site.jail.set_link(device, {"address": entry["mac"], "mtu": entry["mtu"]})
    home = namespaces.open_namespace(os.getpid(), "net")
    try:
        try:
            site.jail.set_link(device, {"net_ns_fd": home, "ifname": entry["parent"]})
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
            # Somebody has taken its name: as the kernel does it.
            site.jail.set_link(device, {"net_ns_fd": home, "ifname": "dev%d"})
    finally:
        os.close(home)
    back = site.host.link(entry["parent"])
    if back and entry["up"]:
        site.host.set_link(back, {"state": "up"})


def give_back(site: Site) -> None:
    """Take all devices that were lent out of a jail that is about to end."""
    for device in site.jail.links():
        there = find(site, device)
        if there:
            Phys().remove(site, there)


def recover(host: Netlink, slot: int) -> None:
    """Give what the kernel has put back after a jail's end its name and state; devices that are gone are forgotten.

    The kernel does so a moment after the last process has ended.
    """
    deadline = time.monotonic() + _RETURN_SECONDS
    for name, entry in lent.of(slot).items():
        found = _returned(host, name, entry)
        while not found and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            found = _returned(host, name, entry)
        if found:
            changes: Attributes = {"mtu": entry["mtu"], "address": entry["mac"]}
            if found.name != entry["parent"]:
                host.set_link(found, {"state": "down", "ifname": entry["parent"]})
            host.set_link(found, {**changes, **({"state": "up"} if entry["up"] else {})})
        lent.strike(slot, name)


def _returned(host: Netlink, name: str, entry: Lent) -> Link | None:
    """The device, under whatever name; nothing of another kind or with another MAC address."""
    macs = {entry["mac"], entry["asked"]}
    for link in host.links():
        called = link.name in (entry["parent"], name) or _BY_KERNEL.fullmatch(link.name)
        if called and link.kind == entry["kind"] and link.mac in macs:
            return link
    return None
