# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of the other jails, in the ``/etc/hosts`` of those jails that ask for them.

Who is told of whom follows from what is recorded. What a running jail has been told is noted beside its other live
bookkeeping, so that only those are entered for which it is not the same any more.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .. import files, layout
from ..errors import JailError, sentence
from ..net import addresses
from ..net.addresses import Interface, IPNetwork
from ..rootfs.settings import hosts
from . import enter, live, store
from .live import Running
from .options import Option

_FACET = "net"
_LOCK = "names"
_NOTE = "names.json"


class Said(NamedTuple):
    """What is recorded of the network of a jail: whether it asks for names, and its interfaces."""

    names: bool
    interfaces: Sequence[Interface]


Records = Mapping[str, Said]
"""By jail."""


def recorded() -> Records:
    """Of all jails."""
    return {name: said(store.read(name, _FACET)) for name in store.names()}


def said(values: Mapping[str, Any]) -> Said:
    """What these canonical options say."""
    return Said(bool(values.get("names")), addresses.completed(values.get("interfaces", [])))


def lines(name: str, records: Records) -> list[str] | None:
    """The lines about other jails that are to be in the ``/etc/hosts`` of one; ``None`` when it does not ask for
    them."""
    return all_lines(records, [name]).get(name)


def all_lines(records: Records, names: Iterable[str]) -> dict[str, list[str]]:
    """Those lines by jail, for those of these jails that ask for them. Where many are in one network, who is to be
    found there is looked for once."""
    found = {}
    seen: dict[Sequence[_Sight], list[tuple[str, str]]] = {}
    for name in names:
        if name in records and records[name].names:
            own = tuple(map(_sight, records[name].interfaces))
            if own not in seen:
                seen[own] = [
                    (other, f"{address} {other}")
                    for other, there in sorted(records.items())
                    for address in _reached(own, there.interfaces)
                ]
            found[name] = [line for other, line in seen[own] if other != name]
    return found


def wanted(name: str) -> list[str] | None:
    """Those lines of one jail, from what is recorded now."""
    return lines(name, recorded()) if store.read(name, _FACET).get("names") else None


class _Sight(NamedTuple):
    """What of an interface decides whom it reaches."""

    segment: tuple[str | None, str | None]
    isolated: bool
    networks: frozenset[IPNetwork]
    leads_out: tuple[bool, bool]
    """Whether it has a gateway, of IPv4 and of IPv6."""


def _sight(interface: Interface) -> _Sight:
    return _Sight(
        (interface["bridge"], interface["parent"]),
        bool(interface["isolate"]),
        frozenset(addresses.known(address).network for address in interface["addresses"]),
        (bool(interface["gateway"]), bool(interface["gateway6"])),
    )


def _reached(own: Sequence[_Sight], others: Sequence[Interface]) -> Iterator[str]:
    """The addresses among others' at which a jail reaches them: those in networks that both are in, of a family without
    any those to which the gateways of both lead."""
    theirs = [(_sight(interface), host) for interface in others for host in addresses.hosts(interface)]
    for at, version in enumerate((4, 6)):
        family = [(sight, host) for sight, host in theirs if addresses.known(host).version == version]
        near = [host for sight, host in family if any(_is_near(each, sight, host) for each in own)]
        if family and not near and any(_sight(interface).leads_out[at] for interface in others):
            ways = [each for each in own if each.leads_out[at]]
            near = [host for sight, host in family if any(not _are_apart(each, sight) for each in ways)]
        yield from near


def _is_near(own: _Sight, other: _Sight, host: str) -> bool:
    together = own.segment == other.segment and not _are_apart(own, other)
    return together and any(addresses.known(host).ip in network for network in own.networks)


def _are_apart(own: _Sight, other: _Sight) -> bool:
    return own.isolated and other.isolated


def note(name: str, told: Sequence[str] | None) -> None:
    """Remember what a running jail has been told."""
    files.write_json(_noted(name), told)


def _noted(name: str) -> str:
    return os.path.join(layout.running(name), _NOTE)


def refresh() -> dict[str, str]:
    """Tell every running jail that asks for it what has changed since it was told last.

    To be called when what is recorded of networks may have changed, without any jail's lock.

    :returns: a sentence for each jail whose file could not be written.
    """
    failures = {}
    with files.locked(_LOCK):
        records = recorded()
        for name, due in all_lines(records, sorted(records)).items():
            try:
                if files.read_json(_noted(name)) != due and live.find(name) is not None:
                    with store.locked(name):
                        running = live.find(name)
                        if running is not None:
                            _tell(running, due)
            except (JailError, OSError) as error:
                failures[name] = sentence(error)
    return failures


def _tell(running: Running, others: Sequence[str] | None) -> None:
    enter.call(running, lambda root: hosts.tell(root, others))
    note(running.name, others)


def _read(running: Running) -> bool | None:
    """Whether it is told of others; ``None`` when not of those that there are."""
    told = enter.call(running, hosts.told)
    if told is None:
        return False
    records = recorded()
    return True if told == lines(running.name, _asking(running.name, records)) else None


def _write(running: Running, value: bool) -> None:
    _tell(running, lines(running.name, _asking(running.name, recorded())) if value else None)


def _asking(name: str, records: Records) -> Records:
    return {**records, name: records.get(name, said({}))._replace(names=True)}


OPTIONS = (Option("names", type="bool", default=False, read=_read, write=_write),)
