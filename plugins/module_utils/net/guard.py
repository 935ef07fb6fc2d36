# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host lets jails do on the network: the tables of :mod:`firewall` and the host's forwarding, kept together.

While no jail has an interface, nothing of nf_tables is needed or used. The caller of what changes something holds the
lock ``host``.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

from ..errors import JailError
from . import firewall, forwarding, ingress
from .addresses import Interface, hosts, is_forwarded
from .firewall import BRIDGES, ISOLATED, MASQUERADE, OPENED, PACED, Change, Entry, Sets, Tables
from .ingress import SHARED, Rules
from .links import Live

_CHAIN = re.compile(r"vj(\d+)n\d+(/6)?")


def describe(live: Live) -> Interface:
    """An interface as the kernel has it, with what the tables say of it."""
    own = hosts(live.interface)
    tables = firewall.read([live.device], _asked([(live.device, live.interface)]))
    shown = ingress.describe(live.device, live.interface, tables.filters)
    return {
        **shown,
        "masquerade": _is_masqueraded(tables, shown, own, live.device),
        "isolate": _is_isolated(tables, own, live.isolated if shown["type"] == "veth" else _has_isolated(tables, own)),
        "connections_max": _connections(tables, own, live.device),
        "neighbours_max": live.interface["neighbours_max"] if _is_paced(tables, own) else 0,
    }


def prepare(wanted: Sequence[Interface]) -> None:
    """See that there can be tables, before anything is changed for these interfaces, and have the host forward what
    those need that are routed or ask for masquerading."""
    if wanted:
        firewall.check()
    own = {host for interface in wanted if is_forwarded(interface) for host in hosts(interface)}
    if own:
        forwarding.ensure(_versions(own))


def converge(jail: str, wanted: Mapping[str, Interface], gone: Iterable[str]) -> None:
    """Have in the tables what these interfaces of a jail need, and nothing of those that it had.

    :param wanted: by the names of their host's ends, which are there and down if they are new.
    :param gone: host's ends that were there until now.
    """
    old = list(gone)
    if wanted or (old and firewall.exists()):
        asked = _asked(wanted.items())
        asked.setdefault(BRIDGES, set()).update(old)
        tables = firewall.read([*wanted, *old], asked)
        _carry_out(tables, _changes(tables, jail, wanted))


def release(
    jail: str, removed: Iterable[Interface], own: Sequence[Interface], others: Iterable[Interface], slots: Iterable[int]
) -> None:
    """Take out of the tables what nothing but these interfaces of a jail needed; with the last of all interfaces the
    tables go, and with the last that needs it forwarding is put back.

    :param own: what is on record of the jail.
    :param others: and of all others, read as far as a question is open.
    :param slots: the numbers of jails whose host's ends are going.
    """
    if firewall.exists():
        if own or any(True for _each in others):
            _release(jail, list(removed), own, others, set(slots))
        else:
            firewall.remove_tables()
    if forwarding.is_noted() and not any(map(is_forwarded, itertools.chain(own, others))):
        forwarding.restore()


def _release(
    jail: str, removed: Sequence[Interface], own: Sequence[Interface], others: Iterable[Interface], slots: set[int]
) -> None:
    going = sorted(name for name in firewall.chain_names() if _slot(name) in slots) if slots else []
    ends = {name.partition("/")[0] for name in going}
    asked = _asked(("", each) for each in removed)
    asked.setdefault(BRIDGES, set()).update(ends)
    tables = firewall.read(ends, asked)
    stays = _all_entries(jail, (("", each) for each in own))
    take = {
        name: [each for each, entry in there.items() if entry.jail == jail and each not in stays.get(name, ())]
        for name, there in tables.sets.items()
    }
    take[BRIDGES] = [each for each in tables.sets[BRIDGES] if not _is_any_masqueraded(own, others, each)]
    _carry_out(tables, Change((), {}, take, {}, (), {}, going))


def _is_any_masqueraded(own: Iterable[Interface], others: Iterable[Interface], bridge: str) -> bool:
    """Whether an interface asks for masquerading on this bridge."""
    every = itertools.chain(own, others)
    return any(each["masquerade"] and each["bridge"] == bridge for each in every)


def _carry_out(tables: Tables, wanted: Change) -> None:
    try:
        firewall.change(tables, wanted)
    except JailError:
        # Perhaps something leads to a chain that is to go: an address that was a jail's when a run was killed.
        left = firewall.leading_to({*wanted.forget, *wanted.uncounted})
        take = {name: {*wanted.take.get(name, ()), *left.get(name, ())} for name in {*wanted.take, *left}}
        firewall.change(tables, wanted._replace(take=take))


def _slot(chain: str) -> int | None:
    match = _CHAIN.fullmatch(chain)
    return int(match[1]) if match else None


def _asked(interfaces: Iterable[tuple[str, Interface]]) -> dict[str, set[str]]:
    """All that the sets could have of these interfaces, each given with its host's end, by set."""
    found: dict[str, set[str]] = {}
    for device, interface in interfaces:
        for host in hosts(interface):
            for kind in (MASQUERADE, ISOLATED, PACED, OPENED):
                found.setdefault(firewall.set_of(kind, host), set()).add(host)
        found.setdefault(BRIDGES, set()).update(filter(None, (interface["bridge"], device)))
    return found


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
    if is_forwarded(interface) and _way(interface, device):
        found[BRIDGES] = {_way(interface, device): Entry("")}
    return found


def _all_entries(jail: str, interfaces: Iterable[tuple[str, Interface]]) -> Sets:
    """Those of several, each given with its host's end."""
    found: Sets = {}
    for device, interface in interfaces:
        for name, entries in _entries(jail, device, interface).items():
            found.setdefault(name, {}).update(entries)
    return found


def _changes(tables: Tables, jail: str, wanted: Mapping[str, Interface]) -> Change:
    own = _all_entries(jail, wanted.items())
    put, take = {}, {}
    for name, there in tables.sets.items():
        needed = own.get(name, {})
        put[name] = {element: entry for element, entry in needed.items() if there.get(element) != entry}
        # Also an address that another jail had until now: that one's name goes with it. Bridges are for others too.
        surplus = [each for each in there if each not in needed and (name != BRIDGES or _slot(each) is not None)]
        take[name] = [*surplus, *(element for element in put[name] if element in there)]
    rules = {device: ingress.rules(device, interface) for device, interface in wanted.items()}
    limits = {device: each["connections_max"] for device, each in wanted.items() if each["connections_max"]}
    known = {*SHARED, *(chain for chains in rules.values() for chain in chains)}
    return Change(
        chains=firewall.chains_for(name for name, entries in own.items() if entries),
        put=put,
        take=take,
        counts={device: number for device, number in limits.items() if tables.counts.get(device) != number},
        uncounted=tables.counts.keys() - limits.keys(),
        filters={device: each for device, each in rules.items() if not _stands(tables, {**SHARED, **each})},
        # Each after the one that calls it.
        forget=sorted(tables.filters.keys() - known),
    )


def _stands(tables: Tables, chains: Mapping[str, Rules]) -> bool:
    return all(rules.stands_as(tables.filters.get(name)) for name, rules in chains.items())


def _way(interface: Interface, device: str) -> str:
    """By which device of the host other jails reach an interface without leaving the host."""
    return interface["bridge"] or device


def _is_masqueraded(tables: Tables, interface: Interface, own: Sequence[str], device: str) -> bool:
    """Whether all addresses of an interface are masqueraded, and forwarded."""
    return (
        bool(own)
        and forwarding.is_recorded()
        and "postrouting" in tables.standing
        and _way(interface, device) in tables.sets[BRIDGES]
        and all(host in tables.sets[firewall.set_of(MASQUERADE, host)] for host in own)
        and all(map(forwarding.is_on, _versions(own)))
    )


def _has_isolated(tables: Tables, own: Sequence[str]) -> bool:
    """Whether a routed interface is isolated: by way of the host is the only way."""
    return any(host in tables.sets[firewall.set_of(ISOLATED, host)] for host in own)


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
