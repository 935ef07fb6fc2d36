# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host lets jails do on the network: the tables of :mod:`firewall` and the host's forwarding,
kept together."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..errors import JailError
from . import firewall, forwarding, ingress
from .addresses import Interface, hosts
from .firewall import BRIDGES, ISOLATED, MASQUERADE, OPENED, PACED, Change, Entry, Sets, Tables
from .links import Live

_DEVICE = re.compile(r"vj(\d+)n\d+")


class Guard:
    """The tables, read once and from then on known by our own changes.

    While no jail has an interface, nothing of nf_tables is needed or used. The caller of what changes something holds
    the lock ``host``.
    """

    def __init__(self) -> None:
        self._read: Tables | None = None

    def _tables(self) -> Tables:
        if self._read is None:
            self._read = firewall.read()
        return self._read

    def describe(self, live: Live) -> Interface:
        """An interface as the kernel has it, with what the tables say of it."""
        tables, own = self._tables(), hosts(live.interface)
        shown = ingress.describe(live.interface, tables.filters.get(live.device))
        return {
            **shown,
            "masquerade": _is_masqueraded(tables, shown, own),
            "isolate": _is_isolated(tables, own, live.isolated),
            "connections_max": _connections(tables, own, live.device),
            "neighbours_max": live.interface["neighbours_max"] if _is_paced(tables, own) else 0,
        }

    def prepare(self, wanted: Sequence[Interface]) -> None:
        """See that there can be tables, before anything is changed for these interfaces, and have the host forward what
        those that ask for masquerading need."""
        if wanted:
            firewall.check()
        own = {host for interface in wanted if interface["masquerade"] for host in hosts(interface)}
        if own:
            forwarding.ensure(_versions(own))

    def converge(self, jail: str, slot: int, wanted: Mapping[str, Interface], made: Iterable[str]) -> None:
        """Have in the tables what these interfaces of a jail need, and nothing else of it.

        :param wanted: by the names of their host's ends, which are there and down if they are new.
        :param made: those that are new.
        """
        if not wanted and self._read is None and not firewall.exists():
            return
        if self._read is not None:
            # Before Linux 6.16 a chain goes with its device; from then on it stays, and waits for another of that name.
            for device in made:
                self._read.filters.pop(device, None)
        self._change(lambda tables: _changes(tables, jail, slot, wanted))

    def _change(self, wanted: Callable[[Tables], Change]) -> None:
        try:
            firewall.change(self._tables(), wanted(self._tables()))
        except JailError:
            # Perhaps somebody else has changed them since they were read.
            self._read = None
            firewall.change(self._tables(), wanted(self._tables()))

    def release(self, kept: Iterable[Interface], slots: Iterable[int]) -> None:
        """Have nothing in the tables but what these interfaces need; with the last of them the tables go, and with the
        last that asks for masquerading forwarding is put back.

        :param slots: the numbers of jails whose host's ends are going.
        """
        kept = list(kept)
        if not kept:
            if firewall.exists():
                firewall.remove_tables()
            self._read = None
        elif firewall.exists():
            going = set(slots)
            self._change(lambda tables: _all_but(tables, kept, going))
        if not any(interface["masquerade"] for interface in kept):
            forwarding.restore()


def _all_but(tables: Tables, kept: Sequence[Interface], slots: set[int]) -> Change:
    """That there is nothing but what these interfaces need, and nothing of jails with these numbers."""
    devices = {name for _index, name in socket.if_nameindex() if _slot(name) not in slots}
    forget = (tables.filters.keys() | tables.counts.keys()) - devices
    take = {}
    for name, there in tables.sets.items():
        needed = _needed(kept, name)
        take[name] = [each for each, entry in there.items() if each not in needed or entry.device in forget]
    return Change((), {}, take, {}, (), {}, forget)


def _slot(device: str) -> int | None:
    match = _DEVICE.fullmatch(device)
    return int(match[1]) if match else None


def _needed(kept: Iterable[Interface], name: str) -> set[str]:
    """The elements that a set has for these interfaces."""
    if name == BRIDGES:
        return {str(interface["bridge"]) for interface in kept if interface["masquerade"]}
    found = (_entries("", "", interface) for interface in kept)
    return {element for sets in found for element in sets.get(name, ())}


def _entries(jail: str, device: str, interface: Interface) -> Sets:
    """The elements that are there for one interface."""
    found: Sets = {}
    for kind, entry, asked in (
        (MASQUERADE, Entry(jail), interface["masquerade"]),
        (ISOLATED, Entry(jail), interface["isolate"]),
        (PACED, Entry(jail), interface["neighbours_max"]),
        (OPENED, Entry(jail, device), interface["connections_max"]),
    ):
        for host in hosts(interface) if asked else ():
            found.setdefault(firewall.set_of(kind, host), {})[host] = entry
    if interface["masquerade"]:
        found[BRIDGES] = {str(interface["bridge"]): Entry("")}
    return found


def _changes(tables: Tables, jail: str, slot: int, wanted: Mapping[str, Interface]) -> Change:
    own: Sets = {name: {} for name in tables.sets}
    for device, interface in wanted.items():
        for name, entries in _entries(jail, device, interface).items():
            own[name].update(entries)
    put, take = {}, {}
    for name, there in tables.sets.items():
        # Also an address that another jail had until now: that one's name goes with it.
        put[name] = {element: entry for element, entry in own.get(name, {}).items() if there.get(element) != entry}
        gone = [element for element, entry in there.items() if entry.jail == jail and element not in own[name]]
        take[name] = [*gone, *(element for element in put[name] if element in there)]
    rules = {device: ingress.rules(interface) for device, interface in wanted.items()}
    limits = {device: each["connections_max"] for device, each in wanted.items() if each["connections_max"]}
    known = tables.filters.keys() | tables.counts.keys()
    return Change(
        chains=firewall.chains_for(name for name, entries in own.items() if entries),
        put=put,
        take=take,
        counts={device: number for device, number in limits.items() if tables.counts.get(device) != number},
        uncounted=[device for device in wanted if device in tables.counts and device not in limits],
        filters={device: each for device, each in rules.items() if not each.stands_as(tables.filters.get(device))},
        forget=[device for device in known if _slot(device) == slot and device not in wanted],
    )


def _is_masqueraded(tables: Tables, interface: Interface, own: Sequence[str]) -> bool:
    """Whether all addresses of an interface are masqueraded, and forwarded."""
    return (
        bool(own)
        and forwarding.is_recorded()
        and "postrouting" in tables.standing
        and interface["bridge"] in tables.sets[BRIDGES]
        and all(host in tables.sets[firewall.set_of(MASQUERADE, host)] for host in own)
        and all(map(forwarding.is_on, _versions(own)))
    )


def _is_isolated(tables: Tables, own: Sequence[str], port: bool) -> bool | None:
    there = {host in tables.sets[firewall.set_of(ISOLATED, host)] for host in own}
    if own and "forward" not in tables.standing:
        there = {False}
    return port if there <= {port} else None


def _is_paced(tables: Tables, own: Sequence[str]) -> bool:
    there = all(host in tables.sets[firewall.set_of(PACED, host)] for host in own)
    return there and (not own or "neighbours" in tables.standing)


def _connections(tables: Tables, own: Sequence[str], device: str) -> int:
    """How many connections its addresses may have opened, 0 when one of them is not counted."""
    to = {tables.sets[firewall.set_of(OPENED, host)].get(host, Entry("")).device for host in own}
    counted = to <= {device} and (not own or "prerouting" in tables.standing)
    return tables.counts.get(device, 0) if counted else 0


def _versions(addresses: Iterable[str]) -> set[int]:
    return {ipaddress.ip_address(address).version for address in addresses}
