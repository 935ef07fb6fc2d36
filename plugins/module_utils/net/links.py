# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A jail's interfaces, of whatever type: read from the kernel, and changed where they differ."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from .. import rates
from ..kernel import namespaces
from . import egress, inside, pairs, phys, shaping, uppers
from .addresses import Interface, has_host_end
from .attached import Attached, Kind, Site
from .netlink import Link, Netlink
from .phys import Phys
from .routed import Routed
from .uppers import Upper
from .veth import Veth

_KINDS: Mapping[str, Kind] = {
    "veth": Veth(),
    "routed": Routed(),
    "macvlan": Upper(),
    "ipvlan": Upper(),
    "phys": Phys(),
}
_FINDERS: Sequence[Callable[[Site, Link], Attached | None]] = (pairs.find, uppers.find, phys.find)
_READY_SECONDS, _POLL_SECONDS = 1.0, 0.001


class Live(NamedTuple):
    """An interface as the kernel has it.

    :param device: the name of its host's end; empty where it has none.
    :param isolated: whether the bridge sends nothing from there to others that are.
    :param mac: that from which it sends, also where it is its parent's.
    """

    interface: Interface
    device: str
    isolated: bool
    mac: str


def open_in(namespace: int) -> Netlink:
    """A socket in the network namespace of this descriptor."""
    with namespaces.inside(namespace, "net"):
        return Netlink()


def _survey(site: Site) -> list[Attached]:
    found = (next(filter(None, (find(site, device) for find in _FINDERS)), None) for device in site.jail.links())
    return inside.filled(site.jail, [each for each in found if each])


def read(host: Netlink, namespace: int, slot: int) -> list[Live]:
    """The interfaces of the jail with this ``slot`` in the network namespace of this descriptor, sorted by name.

    They are described by what works: an interface that is down has no addresses, a host's end that is down is in no
    bridge, and a gateway counts when the default route is there and, where the host is the gateway, the address that it
    leads to. What the host's filter decides is not known here, and is as usual.
    """
    with open_in(namespace) as jail:
        site = Site(host, jail, namespace, "", slot)
        live = sorted(_survey(site), key=lambda each: each.inside.name)
        return [
            Live(
                _as_limited(site, each, _KINDS[each.type].show(site, each, inside.describe(each))),
                each.outside.name if each.outside else "",
                bool(each.outside and each.outside.isolated),
                each.inside.mac,
            )
            for each in live
        ]


def host_ends(host: Netlink, namespace: int, slot: int) -> dict[str, Link]:
    """The host's ends of a jail's interfaces that have one, by the names of these."""
    with open_in(namespace) as jail:
        found = _survey(Site(host, jail, namespace, "", slot))
        return {each.inside.name: each.outside for each in found if each.outside}


def check(host: Netlink, namespace: int, slot: int, wanted: Iterable[Interface]) -> None:
    """See before anything is changed that there can be such interfaces.

    :raises JailError: when there cannot.
    """
    asked = [interface for interface in wanted if interface["parent"]]
    if not asked:
        return
    with open_in(namespace) as jail:
        for interface in asked:
            _KINDS[interface["type"]].check(Site(host, jail, namespace, "", slot), interface)


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
    with open_in(namespace) as jail:
        site = Site(host, jail, namespace, name, slot, masters)
        live = {each.inside.name: each for each in _survey(site)}
        had_beside = any(not each.outside for each in live.values())
        gone, made_alone = set(), False
        for each in list(live.values()):
            stays = any(i["name"] == each.inside.name and _KINDS[i["type"]].fits(each, i) for i in wanted)
            if not stays:
                _KINDS[each.type].remove(site, live.pop(each.inside.name))
                gone |= {each.outside.name} if each.outside else set()
        for interface in wanted:
            if interface["name"] not in live:
                new = _KINDS[interface["type"]].make(site, interface, list(live.values()))
                live[interface["name"]] = new
                made_alone = made_alone or not new.outside
        ends = {end.name: each for each in wanted if (end := live[each["name"]].outside)}
        guard(ends, sorted(gone - ends.keys()))
        beside = [_as_sent(live[each["name"]], each) for each in wanted if not has_host_end(each)]
        if beside or had_beside:
            egress.converge(namespace, beside, made_alone)
        news = []
        for interface in wanted:
            there = live[interface["name"]]
            _limit(site, there, interface)
            changed = _KINDS[interface["type"]].adjust(site, there, interface)
            if inside.adjust(jail, there, interface) or changed:
                news.append(there)
        _tell_neighbours(site, news)


def _as_limited(site: Site, there: Attached, interface: Interface) -> Interface:
    """An interface with how fast it receives and sends."""
    mtu, outside = there.inside.mtu, there.outside
    return {
        **interface,
        "rate_in": shaping.read(site.host, outside, mtu) if outside else rates.UNLIMITED,
        "rate_out": shaping.read(site.jail, there.inside, mtu),
    }


def _limit(site: Site, there: Attached, interface: Interface) -> None:
    """Have it receive and send so fast, before it is up."""
    if there.outside:
        shaping.converge(site.host, there.outside, interface["rate_in"], interface["mtu"])
    shaping.converge(site.jail, there.inside, interface["rate_out"], interface["mtu"])


def _as_sent(there: Attached, interface: Interface) -> Interface:
    """An interface with the MAC address that it sends from."""
    return {**interface, "mac": interface["mac"] or there.own_mac or there.inside.mac}


def _tell_neighbours(site: Site, changed: Sequence[Attached]) -> None:
    """Wait until packets pass, and announce the addresses.

    A neighbour that knows an address from another jail would use that one's MAC address for up to a minute.
    """
    deadline = time.monotonic() + _READY_SECONDS
    for each in changed:
        while not _KINDS[each.type].is_ready(site, each) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        now = site.jail.link(each.inside.ifindex)
        if now:
            site.jail.announce(now)
