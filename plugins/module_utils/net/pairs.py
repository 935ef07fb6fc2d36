# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The veth pairs (veth(4)) that join jails to the host: one end in the jail, the other with the host.

The host's end is called ``vj{slot}n{number}``, and once the pair is complete it has the alias ``jail NAME INTERFACE``,
that of a routed one also the word ``routed`` and the device at which the host answers for it, if there is one.
A jail's interface is ours when it is a veth whose other end, as the kernel says by index, is a device of the host with
such a name: even a jail that may make devices has no say in the host's. All other devices of a jail are its own.
"""

from __future__ import annotations

import errno
import itertools
import re
from collections.abc import Iterable

from ..errors import JailError
from . import inside, sysctl
from .attached import Attached, Site
from .netlink import Attributes, Link, Netlink

_HOST_NAME = re.compile(r"vj(\d+)n(\d+)")
_ROUTED = "routed"


def find(site: Site, device: Link) -> Attached | None:
    """The pair that has this device of the jail as its inner end."""
    outside = _other_end(site.host, device, site.slot) if device.kind == "veth" else None
    if not outside:
        return None
    words = outside.alias.split()[3:]
    if _ROUTED in words:
        return Attached(_ROUTED, device, outside, parent=words[1] if len(words) > 1 else None)
    return Attached("veth", device, outside, site.host.link(outside.master) if outside.master else None)


def outside_of(there: Attached) -> Link:
    """The host's end of a pair."""
    if not there.outside:
        raise ValueError(f"{there.inside.name} is no pair")  # the caller's mistake
    return there.outside


def alias(site: Site, interface: str, *routed: str) -> str:
    """The mark of a complete pair; ``routed`` is the device at which the host answers, if any, of a routed one."""
    return " ".join(["jail", site.name, interface, *routed])


def routed_alias(site: Site, interface: str, parent: str | None) -> str:
    """That of a routed one."""
    return alias(site, interface, _ROUTED, *([parent] if parent else []))


def _other_end(host: Netlink, inner: Link, slot: int) -> Link | None:
    outside = host.link(inner.peer) if inner.peer_is_away else None
    # A jail may hold pairs of namespaces of its own: there the index is a coincidence, and does not lead back.
    return outside if outside and outside.peer == inner.ifindex and _number(outside, slot) is not None else None


def _number(outside: Link | None, slot: int) -> int | None:
    match = _HOST_NAME.fullmatch(outside.name) if outside else None
    return int(match[2]) if match and int(match[1]) == slot else None


def free_host_name(slot: int, pairs: Iterable[Attached]) -> str:
    """The first name for a host's end that none of the jail's pairs has: those that stay keep theirs."""
    taken = {_number(pair.outside, slot) for pair in pairs}
    number = next(number for number in itertools.count() if number not in taken)
    return f"vj{slot}n{number}"


def create(site: Site, kind: str, here: Attributes, there: Attributes) -> Attached:
    """Make a pair with the attributes ``here`` on the host and ``there`` in the jail; both ends are down, and
    :func:`complete` is still to come.

    :raises JailError: when the jail has a device of that name.
    """
    _add_veth(site.host, here, {**there, "net_ns_fd": site.namespace})
    inner, outside = site.jail.link(str(there["ifname"])), site.host.link(str(here["ifname"]))
    if not inner or not outside:
        raise JailError(
            f"interface {there['ifname']} went away while it was made", option="interfaces", advice="try again"
        )
    return Attached(kind, inner, outside)


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


def complete(site: Site, inner: Link, outside: Link, mark: str, settings: dict[str, str]) -> None:
    """Set what netlink cannot, then bring up the host's end and mark it by its alias.

    A pair without the mark is one that we were killed over, and is completed by the next run.

    :param settings: parameters of IPv6 at the host's end (ip-sysctl).
    """
    for name, value in settings.items():
        sysctl.write_where_present(f"net/ipv6/conf/{outside.name}/{name}", value)
    inside.prepare(site.namespace, inner.name)
    site.host.set_link(outside, {"ifalias": mark, "state": "up"})
