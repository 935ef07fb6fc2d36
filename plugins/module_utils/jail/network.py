# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``jail_net``: interfaces and names, changed live."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import JailError
from ..kernel import paths
from ..net import addresses, conflicts
from ..net.addresses import Interface
from ..net.shapes import SHAPES
from . import enter, hostnet, ids, naming, place, publishing, store
from .facet import Facet, Values, all_well, always, parse_each
from .live import Running
from .options import Option
from .plan import RECORD, Action, Request, plan_options

_RESOLV_CONF = "/etc/resolv.conf"
_OF_ITS_OWN = ("interfaces", "publish")
"""What can only be had in a network of the jail's own."""
_MANAGEMENT, _MANAGE, _LEAVE = "resolv_conf", "manage", "leave"

_GIVEN_UP = (
    ("spoof_protection", False, "it can send under any address, and with raw sockets take its neighbours' traffic"),
    ("allow_router", True, "it can be a router and a DHCP server to its neighbours"),
    ("allow_metadata", True, "it reaches what the host's cloud tells the host at link-local addresses"),
    ("connections_max", 0, "it can fill the host's table of connections"),
    ("neighbours_max", 0, "it can fill the kernel's table of neighbours, which is one for all"),
)
"""Key, value, and what follows from it where it is this."""
_BESIDE_THE_HOST = (
    "what it sends passes none of the host's rules: only the filter in the jail's own network holds it, and a jail "
    "with NET_ADMIN can undo that"
)


def _parse_dns(value: list[str]) -> list[str]:
    return [str(ipaddress.ip_address(server)) for server in value]


def _parse_search(value: list[str]) -> list[str]:
    for domain in value:
        if not domain or any(character.isspace() or not character.isprintable() for character in domain):
            raise ValueError(f"{domain!r} is not a domain")
    return list(value)


def _lines(text: str, keyword: str) -> list[str]:
    """The words after a keyword of resolv.conf(5)."""
    return [word for line in text.splitlines() if line.split()[:1] == [keyword] for word in line.split()[1:]]


def _read_resolv_conf(running: Running) -> str:
    def read(root: int) -> str:
        try:
            return paths.read_file(root, _RESOLV_CONF, 65536).decode(errors="replace")
        except OSError:
            return ""  # missing, or something that cannot be it: to be replaced

    return str(enter.call(running, read))


def _resolv_conf(dns: Sequence[str], search: Sequence[str]) -> str:
    lines = [f"nameserver {server}" for server in dns]
    if search:
        lines.append(f"search {' '.join(search)}")
    return "".join(f"{line}\n" for line in lines)


def _write_dns(running: Running, value: list[str]) -> None:
    _write_resolv_conf(running, value, _lines(_read_resolv_conf(running), "search"))


def _write_search(running: Running, value: list[str]) -> None:
    _write_resolv_conf(running, _lines(_read_resolv_conf(running), "nameserver"), value)


def _write_resolv_conf(running: Running, dns: Sequence[str], search: Sequence[str]) -> None:
    text = _resolv_conf(dns, search).encode()
    enter.call(running, lambda root: paths.write_file(root, _RESOLV_CONF, text))


def _write_management(running: Running, value: str) -> None:
    """What is recorded holds again at once, or what the file holds is the jail's from now on."""
    wanted = files({**store.read(running.name, "net"), _MANAGEMENT: value})

    def write(root: int) -> None:
        for path, text in wanted.items():
            paths.write_file(root, path, text.encode())

    enter.call(running, write)


def is_uncounted(running: Running) -> bool:
    """Whether a jail can undo in its own network namespace what limits its neighbours."""
    return "NET_ADMIN" in running.isolation.capabilities and not running.isolation.shares_network


def _read_interfaces(running: Running) -> list[Interface]:
    if place.is_shared_by(running):
        return []
    with hostnet.namespace(running) as namespace:
        found = hostnet.host().read(namespace, running.slot)
    return [_as_far_as_held(running, interface) for interface in found]


def _as_far_as_held(running: Running, interface: Interface) -> Interface:
    """What the jail itself decides is taken as it was asked for, and named under ``degraded``."""
    if is_uncounted(running):
        asked = {each["name"]: each["neighbours_max"] for each in hostnet.interfaces(store.read(running.name, "net"))}
        return {**interface, "neighbours_max": asked.get(interface["name"], 0)}
    return interface


def _write_interfaces(running: Running, value: list[Interface]) -> None:
    before = _read_interfaces(running)
    # What is recorded is new already. Released first: killed in between, the next run finds something to do.
    _release_unused(running.name, [interface for interface in before if interface not in value], ())
    _converge(running, value)
    publishing.follow(running, store.read(running.name, "net"))


def _converge(running: Running, wanted: list[Interface]) -> None:
    with hostnet.namespace(running) as namespace:
        hostnet.host().converge(namespace, running.name, running.slot, wanted)


_ROUTE = (
    Option("to", required=True),
    Option("via"),
    Option("metric", type="int"),
    Option("table", type="int"),
)

_INTERFACE = (
    Option("name", required=True),
    Option("type", choices=tuple(SHAPES)),
    Option("bridge"),
    Option("parent"),
    Option("addresses", type="list", elements="str"),
    Option("gateway"),
    Option("gateway6"),
    Option("routes", type="list", elements="dict", suboptions=_ROUTE),
    Option("mac"),
    Option("mtu", type="int"),
    Option("masquerade", type="bool"),
    Option("spoof_protection", type="bool"),
    Option("allow_router", type="bool"),
    Option("allow_metadata", type="bool"),
    Option("isolate", type="bool"),
    Option("connections_max", type="int"),
    Option("neighbours_max", type="int"),
    Option("rate_in"),
    Option("rate_out"),
    Option("packets_max", type="int"),
)


def _resolver_option(
    name: str, keyword: str, parse: Callable[[Any], Any], write: Callable[[Running, Any], None]
) -> Option:
    """An option that stands in resolv.conf(5) as the words after a keyword."""
    return Option(
        name,
        type="list",
        elements="str",
        default=[],
        parse=parse,
        read=lambda running: _lines(_read_resolv_conf(running), keyword),
        write=write,
    )


OPTIONS = (
    Option(
        "interfaces",
        type="list",
        elements="dict",
        suboptions=_INTERFACE,
        default=[],
        read=_read_interfaces,
        write=_write_interfaces,
        waits=place.waits,
    ),
    *place.OPTIONS,
    *publishing.OPTIONS,
    _resolver_option("dns", "nameserver", _parse_dns, _write_dns),
    _resolver_option("search", "search", _parse_search, _write_search),
    Option(_MANAGEMENT, choices=(_MANAGE, _LEAVE), default=_MANAGE, write=_write_management),
    *naming.OPTIONS,
)


_parse_others = parse_each([option for option in OPTIONS if option.name != "interfaces"])


def _parse(given: Values, recorded: Values) -> dict[str, Any]:
    """Interfaces are parsed with the jail's name, from which their hardware addresses follow."""
    values = _parse_others(given, recorded)
    if values.get(_MANAGEMENT, recorded.get(_MANAGEMENT)) == _LEAVE:
        for option in ("dns", "search"):
            if option in values:
                raise JailError(
                    f"its {_RESOLV_CONF} is to be left alone", option=option, advice=f"say {_MANAGEMENT}: {_MANAGE}"
                )
    if given.get("interfaces") is not None:
        try:
            values["interfaces"] = addresses.parse_interfaces(given["name"], given["interfaces"])
        except ValueError as error:
            raise JailError(str(error), option="interfaces") from error
        hostnet.host().check_parents(values["interfaces"])
    place.check(given["name"], {**recorded, **values}, _OF_ITS_OWN)
    if "interfaces" in values or "publish" in values:
        publishing.check({**recorded, **values}, recorded)
    return values


def _conflicts(desired: Mapping[str, Mapping[str, Any]]) -> Mapping[str, str]:
    own = conflicts.between({name: hostnet.interfaces(values) for name, values in desired.items()})
    return {**publishing.conflicts(desired), **own}


def lends(wiring: Mapping[str, Any]) -> bool:
    """Whether a jail with these canonical options has devices of the host."""
    return any(interface["type"] == "phys" for interface in hostnet.interfaces(wiring))


def leave_unanswered(wiring: Mapping[str, Any], name: str) -> None:
    """Have the host answer for no address that only this jail has, by these canonical options."""
    hostnet.host().leave_unanswered(hostnet.interfaces(wiring), lambda: _others(name))


def clash(name: str, desired: Mapping[str, Any]) -> str | None:
    """Why this cannot be the network of a jail, beside those that are recorded of the others; ``None`` when it can."""
    others = {other: store.read(other, "net") for other in store.names()}
    return _conflicts({**others, name: desired}).get(name)


def wire(running: Running, desired: Mapping[str, Any]) -> None:
    """Give a jail that is being started its network: loopback at least. In the host's it changes nothing."""
    if place.of(desired) == place.HOST:
        return
    _converge(running, hostnet.interfaces(desired))
    publishing.follow(running, desired)


def files(desired: Mapping[str, Any]) -> dict[str, str]:
    """The files that a start writes into the jail; none when nobody said anything of name servers, or to leave them
    alone."""
    if ("dns" not in desired and "search" not in desired) or desired.get(_MANAGEMENT) == _LEAVE:
        return {}
    return {_RESOLV_CONF: _resolv_conf(desired.get("dns", []), desired.get("search", []))}


def release(name: str) -> None:
    """Take away what a jail's network has left on the host, as if the jail were not recorded any more."""
    publishing.release(besides=name)
    slot = ids.find(name)
    slots = [] if slot is None else [slot]
    hostnet.host().release(name, _recorded([name]), list, lambda: _others(name), slots)


def release_interfaces(name: str, removed: list[Interface]) -> None:
    """Give up what these interfaces of a jail that does not run used on the host, where no recorded interface uses it;
    and all filters at its host's ends, which its next start makes anew."""
    slot = ids.find(name)
    _release_unused(name, removed, () if slot is None else (slot,))


def _release_unused(name: str, removed: list[Interface], slots: Iterable[int]) -> None:
    publishing.release()
    if removed:
        hostnet.host().release(name, removed, lambda: _recorded([name]), lambda: _others(name), slots)


def _recorded(jails: Iterable[str]) -> list[Interface]:
    return [interface for name in jails for interface in hostnet.interfaces(store.read(name, "net"))]


def _others(name: str) -> Iterator[Interface]:
    """Those of all other jails, one jail read after the other."""
    for other in store.names():
        if other != name:
            yield from _recorded([other])


def given_up(name: str, wanted: Mapping[str, Any]) -> list[str]:
    """A sentence for each protection that a jail's interfaces do without.

    :param wanted: canonical options that are about to be recorded.
    """
    interfaces = hostnet.interfaces({**store.read(name, "net"), **wanted})
    return [
        *(
            f"interfaces: {interface['name']}: {sentence}"
            for interface in interfaces
            for key, value, sentence in _GIVEN_UP
            if dict(interface)[key] == value and (addresses.has_host_end(interface) or key != "connections_max")
        ),
        *(
            f"interfaces: {interface['name']}: of type {interface['type']}, {_BESIDE_THE_HOST}"
            for interface in interfaces
            if not addresses.has_host_end(interface)
        ),
    ]


def _release_replaced(request: Request, actions: Sequence[Action]) -> None:
    """What a jail that does not run would have used goes when it is to use something else."""
    for action in actions:
        if action.option == "interfaces":
            before = addresses.completed(action.before)
            gone = [interface for interface in before if interface not in action.after]
            release_interfaces(request.name, gone)
        elif action.option == "publish":
            publishing.release()


FACET = Facet(
    name="net",
    options=OPTIONS,
    states=(),
    parse=_parse,
    plan=plan_options,
    exists=always,
    conflicts=_conflicts,
    perform={RECORD: _release_replaced},
    settle=all_well,
    one_at_a_time=True,
)
