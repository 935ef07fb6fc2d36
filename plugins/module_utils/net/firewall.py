# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's tables of nf_tables that are ours: read, compared, and changed in one transaction. No other is touched.

``inet jails`` has what is decided by address: masquerading, isolation, and how many connections are tracked. Addresses
stand in sets, so that a jail more or less leaves the rules alone; each has its jail's name as comment. ``netdev jails``
has a chain for each interface, at its host's end (:mod:`ingress`). The two have one name, for the hook at a device
knows frames that are not IP in a table of the family netdev alone.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from ..errors import JailError
from ..kernel import nftables
from .ingress import Filter, Rules

NAME = "jails"
_INET, _NETDEV = f"inet {NAME}", f"netdev {NAME}"
MASQUERADE, ISOLATED, OPENED, PACED = "masquerade", "isolated", "opened", "paced"
"""The names of sets, without the 4 or 6 of the addresses that are in them."""
BRIDGES = "bridges"

_ADDRESSES = {"4": "ipv4_addr", "6": "ipv6_addr"}
_MANY = "size 16384; flags dynamic, timeout;"
_PACE = "limit rate over 12/second burst 128 packets"
_TYPES = {
    **{f"{MASQUERADE}{each}": f"set {{}} {{{{ type {kind}; }}}}" for each, kind in _ADDRESSES.items()},
    **{f"{ISOLATED}{each}": f"set {{}} {{{{ type {kind}; }}}}" for each, kind in _ADDRESSES.items()},
    **{f"{PACED}{each}": f"set {{}} {{{{ type {kind}; }}}}" for each, kind in _ADDRESSES.items()},
    **{f"{OPENED}{each}": f"map {{}} {{{{ type {kind} : verdict; }}}}" for each, kind in _ADDRESSES.items()},
    BRIDGES: "set {} {{ type ifname; }}",
}


# Filled by the kernel: whom jails reach through the host, and how fast each of them has found others.
_FOUND = {
    f"{name}{each}": f"set {{}} {{{{ type {kind}; {_MANY} timeout {seconds}s; }}}}"
    for each, address in _ADDRESSES.items()
    for name, kind, seconds in (("met", f"{address} . {address}", 10), ("pace", address, 60))
}


class _Chain(NamedTuple):
    """One of those by which packets come into the table."""

    hook: str
    needed_by: str
    """The set without whose elements it does nothing."""
    rules: Mapping[str, str]
    """By comment."""


_CHAINS = {
    "postrouting": _Chain(
        "type nat hook postrouting priority srcnat;",
        MASQUERADE,
        {
            f"{MASQUERADE}4": f"ip saddr @{MASQUERADE}4 oifname != @{BRIDGES} masquerade",
            f"{MASQUERADE}6": f"ip6 saddr @{MASQUERADE}6 oifname != @{BRIDGES} masquerade",
        },
    ),
    # By way of the host's router: within a bridge its ports see to it.
    "forward": _Chain(
        "type filter hook forward priority filter - 10;",
        ISOLATED,
        {
            f"{ISOLATED}4": f"ip saddr @{ISOLATED}4 ip daddr @{ISOLATED}4 drop",
            f"{ISOLATED}6": f"ip6 saddr @{ISOLATED}6 ip6 daddr @{ISOLATED}6 drop",
        },
    ),
    # The host asks for the neighbours of what it forwards: the kernel's table of them is one for all.
    "neighbours": _Chain(
        "type filter hook forward priority filter - 5;",
        PACED,
        {
            comment: text
            for each, word, groups in (("4", "ip", "224.0.0.0/4"), ("6", "ip6", "ff00::/8"))
            for comment, text in (
                # Seen here where IP's hooks see what a bridge carries; nobody asks for such a neighbour.
                (f"groups{each}", f"{word} daddr {groups} accept"),
                (f"met{each}", f"{word} saddr @{PACED}{each} {word} saddr . rt {word} nexthop @met{each} accept"),
                (f"pace{each}", f"{word} saddr @{PACED}{each} add @pace{each} {{ {word} saddr {_PACE} }} drop"),
                (f"meets{each}", f"{word} saddr @{PACED}{each} add @met{each} {{ {word} saddr . rt {word} nexthop }}"),
            )
        },
    ),
    # After a packet has got its connection, which is forgotten with it: only one that is let through is entered.
    "prerouting": _Chain(
        "type filter hook prerouting priority mangle;",
        OPENED,
        {f"{OPENED}4": f"ip saddr vmap @{OPENED}4", f"{OPENED}6": f"ip6 saddr vmap @{OPENED}6"},
    ),
}

T = TypeVar("T")


class Entry(NamedTuple):
    """What an element of a set says.

    :param jail: whose it is.
    :param device: the chain that a packet goes to, in a map.
    """

    jail: str
    device: str = ""


Sets = dict[str, dict[str, Entry]]
"""Entries by element, by set."""


class Tables(NamedTuple):
    """What is there. :func:`change` keeps it true."""

    declared: set[str]
    """The sets that are there."""
    standing: set[str]
    """The chains of :data:`_CHAINS` that are whole."""
    sets: Sets
    counts: dict[str, int]
    """How many connections may be opened, by the name of the host's end."""
    filters: dict[str, Filter]
    """Likewise."""


class Change(NamedTuple):
    """What is to be different.

    :param chains: those of :data:`_CHAINS` that have to stand.
    :param put: entries to add, by element, by set.
    :param take: elements to remove, before that, by set.
    :param counts: how many connections may be opened, by host's end.
    :param uncounted: host's ends whose connections are not to be counted any more.
    :param filters: what should stand, by host's end.
    :param forget: host's ends at which nothing should.
    """

    chains: Iterable[str]
    put: Mapping[str, Mapping[str, Entry]]
    take: Mapping[str, Iterable[str]]
    counts: Mapping[str, int]
    uncounted: Iterable[str]
    filters: Mapping[str, Rules]
    forget: Iterable[str]


def set_of(kind: str, address: str) -> str:
    """The name of the set for an address."""
    return f"{kind}{6 if ':' in address else 4}"


def chains_for(sets: Iterable[str]) -> set[str]:
    """Those of :data:`_CHAINS` that elements of these sets need."""
    names = list(sets)
    return {chain for chain, each in _CHAINS.items() if any(name.startswith(each.needed_by) for name in names)}


def check() -> None:
    """
    :raises JailError: when the library is not there.
    """
    ask(nftables.load)


def exists() -> bool:
    """Whether there is a table of ours."""
    try:
        nftables.load()
    except OSError:
        return False  # who should have made it?
    return any(kind == "table" and value["name"] == NAME for kind, value in _pairs(show("tables")))


def ask(what: Callable[[], T]) -> T:
    """Do something with the library, and tell its errors in our way."""
    try:
        return what()
    except nftables.RefusedError as error:
        raise JailError(f"nft refused the tables {NAME}: {error.strerror}", option="interfaces") from error
    except OSError as error:
        if error.errno is None:  # of dlopen(3)
            raise JailError(
                f"jails with interfaces need the library of nftables, which cannot be loaded: {error}",
                option="interfaces",
                advice="install it; Debian's package is nftables",
            ) from error
        raise JailError(
            f"the kernel lets nobody filter packets: {error.strerror}",
            option="interfaces",
            advice="it needs nf_tables (CONFIG_NF_TABLES, CONFIG_NF_TABLES_NETDEV)",
        ) from error


def show(what: str) -> list[dict[str, Any]]:
    """What ``nft -j list`` says; nothing of what is not there."""
    found: list[dict[str, Any]] = ask(lambda: nftables.show(what) or [])
    return found


def read() -> Tables:
    """What is there; nothing where there are no such tables."""
    found = Tables(set(), set(), {name: {} for name in _TYPES}, {}, {})
    comments: dict[str, list[str]] = {}
    hooks = {}
    for kind, value in _objects(_INET):
        if kind in ("set", "map"):
            found.declared.add(value["name"])
            if value["name"] in _TYPES:
                found.sets[value["name"]] = dict(map(_element, value.get("elem", ())))
        elif kind == "rule":
            comments.setdefault(value["chain"], []).append(value.get("comment", ""))
        elif kind == "chain":
            hooks[value["name"]] = value.get("hook")
    for name, said in comments.items():
        if name in _CHAINS and f" {hooks.get(name)} " in _CHAINS[name].hook and said == list(_CHAINS[name].rules):
            found.standing.add(name)
        elif name not in _CHAINS and len(said) == 1 and said[0].isdigit():
            found.counts[name] = int(said[0])
    found.filters.update(_filters(_objects(_NETDEV)))
    return found


def _objects(table: str) -> Iterator[tuple[str, Any]]:
    return _pairs(show(f"table {table}"))


def _pairs(objects: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    return (pair for each in objects for pair in each.items())


def _filters(objects: Iterable[tuple[str, Any]]) -> dict[str, Filter]:
    found: dict[str, Filter] = {}
    for kind, value in objects:
        if kind == "chain":
            policy = value["policy"] if value.get("hook") == "ingress" else "none"
            found[value["name"]] = Filter(policy, ())
        elif kind == "rule":
            before = found[value["chain"]]
            found[value["chain"]] = before._replace(comments=(*before.comments, value.get("comment", "")))
    return found


def _element(element: Any) -> tuple[str, Entry]:
    """An element as ``nft -j`` shows it: a key, or a pair of key and verdict; the key may bear a comment."""
    key, device = element, ""
    if isinstance(element, list):
        key, verdict = element
        device = next((to["target"] for to in verdict.values() if to), "")
    if isinstance(key, dict):
        inner = key["elem"]
        return inner["val"], Entry(inner.get("comment", ""), device)
    return key, Entry("", device)


def change(have: Tables, wanted: Change) -> None:
    """Make it so, all of it at once or nothing; what is so already is left alone, for taking a rule away takes the
    kernel ten times as long as adding one."""
    script = "".join(f"{statement}\n" for statement in _statements(have, wanted))
    if script:
        ask(lambda: nftables.run(script))
        _remember(have, wanted)


def _statements(have: Tables, wanted: Change) -> Iterator[str]:
    missing = sorted(set(wanted.chains) - have.standing)
    if missing or wanted.counts or any(wanted.put.values()):
        yield from _declarations(have.declared)
    for name, elements in wanted.take.items():
        yield from (f"delete element {_INET} {name} {{ {_quoted(name, each)} }}" for each in elements)
    for device in wanted.forget:
        # Made before it is removed: until Linux 6.16 it went with its device.
        yield from _without(f"{_NETDEV} {device}") if device in have.filters else ()
    for device in {*wanted.forget, *wanted.uncounted} & have.counts.keys():
        yield from _without(f"{_INET} {device}")
    for device, number in wanted.counts.items():
        yield f"add chain {_INET} {device}"
        yield f"flush chain {_INET} {device}"
        yield f'add rule {_INET} {device} ct state new ct count over {number} drop comment "{number}"'
    for name, entries in wanted.put.items():
        yield from (f"add element {_INET} {name} {{ {_entry(name, *pair)} }}" for pair in entries.items())
    for name in missing:
        yield from _whole(name, _CHAINS[name])
    if wanted.filters:
        yield f"add table {_NETDEV}"
    for device, rules in wanted.filters.items():
        yield from _filter(device, rules)


def _declarations(there: set[str]) -> Iterator[str]:
    lines = {name: line for name, line in {**_TYPES, **_FOUND}.items() if name not in there}
    if lines:
        yield f"add table {_INET}"
    yield from (f"add {line.format(f'{_INET} {name}')}" for name, line in lines.items())


def _whole(name: str, chain: _Chain) -> Iterator[str]:
    yield f"add chain {_INET} {name} {{ {chain.hook} }}"
    yield f"flush chain {_INET} {name}"
    for comment, text in chain.rules.items():
        yield f'add rule {_INET} {name} {text} comment "{comment}"'


def _filter(device: str, rules: Rules) -> Iterator[str]:
    hook = f'type filter hook ingress device "{device}" priority -500; policy {rules.policy};'
    yield f"add chain {_NETDEV} {device} {{ {hook} }}"
    yield f"flush chain {_NETDEV} {device}"
    for text, comment in zip(rules.texts, rules.comments):
        yield f'add rule {_NETDEV} {device} {text} comment "{comment}"'


def _without(chain: str) -> Iterator[str]:
    yield f"add chain {chain}"
    yield f"flush chain {chain}"
    yield f"delete chain {chain}"


def _quoted(name: str, element: str) -> str:
    return f'"{element}"' if name == BRIDGES else element


def _entry(name: str, element: str, entry: Entry) -> str:
    comment = f' comment "{entry.jail}"' if entry.jail else ""
    target = f" : jump {entry.device}" if entry.device else ""
    return f"{_quoted(name, element)}{comment}{target}"


def _remember(have: Tables, wanted: Change) -> None:
    for name, elements in wanted.take.items():
        for element in elements:
            have.sets[name].pop(element, None)
    for name, entries in wanted.put.items():
        have.sets[name].update(entries)
    if wanted.chains or wanted.counts:
        have.declared.update(_TYPES, _FOUND)
    have.standing.update(wanted.chains)
    for device in (*wanted.forget, *wanted.uncounted):
        have.counts.pop(device, None)
    for device in wanted.forget:
        have.filters.pop(device, None)
    have.counts.update(wanted.counts)
    have.filters.update({device: Filter(each.policy, tuple(each.comments)) for device, each in wanted.filters.items()})


def remove_tables() -> None:
    """Remove them, if they are there."""
    for table in (_INET, _NETDEV):
        try:
            nftables.run(f"delete table {table}")
        except nftables.RefusedError as error:
            if error.errno != errno.ENOENT:
                raise JailError(f"nft refused to remove the table {table}: {error.strerror}") from error
