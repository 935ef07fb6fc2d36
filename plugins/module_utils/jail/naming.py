# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of the other jails, in the ``/etc/hosts`` of those jails that ask for them.

Who is told of whom follows from what is recorded. What a running jail has been told is noted beside its other live
bookkeeping, so that only those are entered for which it is not the same any more.
"""

from __future__ import annotations

import functools
import ipaddress
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .. import files, layout
from ..errors import JailError, sentence
from ..net import addresses
from ..net.addresses import Interface, IPAddress, IPNetwork
from ..rootfs.settings import hosts
from . import enter, live, store
from .live import Running
from .options import Option

_FACET = "net"
_LOCK = "names"
_NOTE = "names.json"

Records = Mapping[str, Mapping[str, Any]]
"""What is recorded of the network of jails, by name."""


def recorded() -> Records:
    """Of all jails."""
    return {name: store.read(name, _FACET) for name in store.names()}


def lines(name: str, records: Records) -> list[str] | None:
    """The lines about other jails that are to be in the ``/etc/hosts`` of one; ``None`` when it does not ask for
    them."""
    if not records.get(name, {}).get("names"):
        return None
    own = _interfaces(records[name])
    others = ((other, _interfaces(said)) for other, said in sorted(records.items()) if other != name)
    return [f"{address} {other}" for other, interfaces in others for address in _reached(own, interfaces)]


def wanted(name: str) -> list[str] | None:
    """Those lines, from what is recorded now."""
    return lines(name, recorded()) if store.read(name, _FACET).get("names") else None


def _interfaces(said: Mapping[str, Any]) -> list[Interface]:
    return addresses.completed(said.get("interfaces", []))


def _reached(own: Sequence[Interface], others: Sequence[Interface]) -> Iterator[str]:
    """The addresses among others' at which a jail reaches them: those in networks that both are in, of a family without
    any those to which the gateways of both lead."""
    for key, version in (("gateway", 4), ("gateway6", 6)):
        theirs = [(interface, host) for interface in others for host in addresses.hosts(interface)]
        family = [(interface, host) for interface, host in theirs if _address(host).version == version]
        near = [host for interface, host in family if any(_is_near(each, interface, host) for each in own)]
        ways = [interface for interface in own if dict(interface)[key]]
        if not near and any(dict(interface)[key] for interface in others):
            near = [host for interface, host in family if any(not _are_apart(each, interface) for each in ways)]
        yield from near


def _is_near(own: Interface, other: Interface, host: str) -> bool:
    if own["bridge"] != other["bridge"] or _are_apart(own, other):
        return False
    return any(_address(host) in network for network in map(_network, own["addresses"]))


def _are_apart(own: Interface, other: Interface) -> bool:
    return bool(own["isolate"] and other["isolate"])


@functools.lru_cache(maxsize=4096)
def _address(host: str) -> IPAddress:
    return ipaddress.ip_address(host)


@functools.lru_cache(maxsize=4096)
def _network(address: str) -> IPNetwork:
    return ipaddress.ip_interface(address).network


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
        for name in sorted(records):
            due = lines(name, records)
            if due is not None and files.read_json(_noted(name)) != due:
                with store.locked(name):
                    running = live.find(name)
                    try:
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
    return {**records, name: {**records.get(name, {}), "names": True}}


OPTIONS = (Option("names", type="bool", default=False, read=_read, write=_write),)
