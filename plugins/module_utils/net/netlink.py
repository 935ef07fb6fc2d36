# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links, addresses and routes by rtnetlink(7): the one seam to pyroute2, which knows the messages.

It works with pyroute2 0.7.2 (Debian 12) and 0.9; where the two differ, a comment says so. Failed requests raise
:class:`OSError` whose text says what was asked for: ``[Errno 17] adding the address 10.0.0.1/24: File exists``.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Union

from ..errors import JailError
from .routes import USUAL_METRIC, Route

_AF_INET, _AF_INET6 = 2, 10
_FAMILIES = {4: _AF_INET, 6: _AF_INET6}
_IFF_UP = 1
_IFA_F_NODAD = 2  # the address is usable at once, without a second of duplicate address detection
_NLM_F_DUMP_INTR = 0x10
_RT_TABLE_LOCAL = 255
_RTPROT_STATIC = 4
_RTN_LOCAL = 2
_RTN_UNICAST = 1
_RTPROTS_BY_ITSELF = (1, 2, 9)  # redirects, what follows from addresses, router advertisements
_RT_SCOPE_LINK, _RT_SCOPE_NOWHERE = 253, 255
_RTNH_F_ONLINK = 4
_NTF_PROXY = 8
_BR_STATE_DISABLED = 0
_DUMP_TRIES = 10
_TC_H_ROOT = 0xFFFFFFFF
_TOKEN_BUCKET = "tbf"
_TICK_NANOSECONDS = 64  # net/pkt_sched.h, PSCHED_TICKS2NS

_LOOPBACK_ROUTE = {
    "family": _AF_INET6,
    "dst": "::1/128",
    "table": _RT_TABLE_LOCAL,
    "type": _RTN_LOCAL,
    "proto": _RTPROT_STATIC,
    "priority": 512,  # behind that of lo
}

Attributes = dict[str, Union[str, int]]


class Link(NamedTuple):
    """A network device."""

    ifindex: int
    name: str
    kind: str
    """``bridge``, ``veth``, ...; empty for hardware and ``lo``."""
    up: bool
    """Whether it is switched on."""
    operational: bool
    """Whether the kernel has taken note that packets can pass (the kernel's networking/operstates): shown as ``UP``."""
    mac: str
    mtu: int
    master: int
    """Index of the bridge that it is a port of, or 0."""
    alias: str
    peer: int
    """Index of a veth's other end or of the device below, in that one's network namespace, or 0."""
    peer_is_away: bool
    """Whether that is another namespace."""
    isolated: bool
    """Whether it is a port of a bridge that sends nothing to other isolated ports (bridge(8))."""
    discipline: str
    """How it queues what it sends: the kind of its root qdisc (tc(8))."""
    hairpin: bool
    """Whether it is a port of a bridge that gets back what came by it (bridge(8))."""


class Address(NamedTuple):
    """An address of a device, with prefix length as :mod:`ipaddress` writes it."""

    ifindex: int
    address: str


class Queue(NamedTuple):
    """A token bucket (tc-tbf(8)) by which a device sends."""

    rate: int
    """Bytes per second."""
    burst: int
    """What may pass at once, in microseconds of that rate."""
    limit: int
    """How many bytes may wait."""


class DeviceRoute(NamedTuple):
    """A route that somebody has made, or one next hop of it."""

    ifindex: int
    """Of the device that it leads to."""
    route: Route


def _text(value: str | bytes | None) -> str:
    # pyroute2 leaves what is not UTF-8 as it is, and a privileged jail may name its devices as it likes.
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""


def _link(message: Any) -> Link:
    return Link(
        ifindex=message["index"],
        name=_text(message.get_attr("IFLA_IFNAME")),
        kind=message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or "",
        up=bool(message["flags"] & _IFF_UP),
        operational=message.get_attr("IFLA_OPERSTATE") == "UP",
        mac=message.get_attr("IFLA_ADDRESS") or "",
        mtu=message.get_attr("IFLA_MTU"),
        master=message.get_attr("IFLA_MASTER") or 0,
        alias=_text(message.get_attr("IFLA_IFALIAS")),
        peer=message.get_attr("IFLA_LINK") or 0,
        peer_is_away=message.get_attr("IFLA_LINK_NETNSID") is not None,
        isolated=bool(message.get_nested("IFLA_LINKINFO", "IFLA_INFO_SLAVE_DATA", "IFLA_BRPORT_ISOLATED")),
        discipline=message.get_attr("IFLA_QDISC") or "",
        hairpin=bool(message.get_nested("IFLA_LINKINFO", "IFLA_INFO_SLAVE_DATA", "IFLA_BRPORT_MODE")),
    )


def _address(message: Any) -> Address:
    # IFA_ADDRESS is the other side's address where there is an IFA_LOCAL.
    host = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
    return Address(message["index"], str(ipaddress.ip_interface(f"{host}/{message['prefixlen']}")))


def _queue(message: Any) -> Queue:
    parameters = message.get_nested("TCA_OPTIONS", "TCA_TBF_PARMS")
    burst = round(parameters["buffer"] * _TICK_NANOSECONDS / 1000)
    return Queue(parameters["rate"], burst, parameters["limit"])


def _routes(version: int, messages: Iterable[Any]) -> Iterator[DeviceRoute]:
    for message in messages:
        table = message.get_attr("RTA_TABLE") or message["table"]
        # A kernel without IPv6 answers a question for that family with IPv4.
        if message["family"] != _FAMILIES[version] or message["type"] != _RTN_UNICAST or table == _RT_TABLE_LOCAL:
            continue
        if message["proto"] in _RTPROTS_BY_ITSELF:
            continue
        to = message.get_attr("RTA_DST") or {4: "0.0.0.0", 6: "::"}[version]
        for hop in message.get_attr("RTA_MULTIPATH") or [message]:
            route: Route = {
                "to": str(ipaddress.ip_network(f"{to}/{message['dst_len']}")),
                "via": hop.get_attr("RTA_GATEWAY"),
                "metric": message.get_attr("RTA_PRIORITY") or 0,
                "table": table,
            }
            yield DeviceRoute(hop["oif"] if "oif" in hop else hop.get_attr("RTA_OIF"), route)


def _load() -> tuple[Any, Any]:
    """pyroute2's socket class and its exception.

    Imported late, as it is slow: whichever part is named, ``pyroute2/__init__.py`` imports the rest, 125 ms with 0.7.2
    and 130 ms with 0.9.7 where a jail's whole network takes 10.
    """
    try:
        from pyroute2.iproute import IPRoute  # noqa: PLC0415
        from pyroute2.netlink.exceptions import NetlinkError  # noqa: PLC0415
    except ImportError as error:
        raise JailError(
            f"{sys.executable} has no pyroute2 ({error})", advice="install it; Debian's package is python3-pyroute2"
        ) from error
    return IPRoute, NetlinkError


class Netlink:
    """One socket, in the network namespace in which the calling thread is when it makes the object; close-on-exec.

    Use it as a context manager. No thread is started; a forked child must not use it beside its parent.
    """

    def __init__(self) -> None:
        open_socket, self._error = _load()
        self._socket = open_socket()
        self._queues: dict[int, Queue] | None = None

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_ignored: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    @contextlib.contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        try:
            yield
        except self._error as error:
            raise OSError(error.code, f"{what}: {os.strerror(error.code)}") from error

    def _dump(self, what: str, ask: Callable[..., Iterable[Any]], **which: int) -> list[Any]:
        # The kernel marks a list that changed while it was read. 0.7.2 raises NetlinkDumpInterrupted then (code -1);
        # 0.9 does nothing.
        for _try in range(_DUMP_TRIES):
            try:
                messages = list(ask("dump", **which))
            except self._error as error:
                if error.code != -1:
                    raise OSError(error.code, f"{what}: {os.strerror(error.code)}") from error
                continue
            if not any(message["header"]["flags"] & _NLM_F_DUMP_INTR for message in messages):
                return messages
        raise OSError(errno.EINTR, f"{what}: the list changed while it was read, {_DUMP_TRIES} times")

    def links(self) -> list[Link]:
        """All devices."""
        return [_link(message) for message in self._dump("listing the devices", self._socket.link)]

    def link(self, key: str | int) -> Link | None:
        """The device with this name or index; ``None`` when there is none."""
        which = {"ifname": key} if isinstance(key, str) else {"index": key}
        try:
            with self._doing(f"looking up the device {key}"):
                return _link(self._socket.link("get", **which)[0])
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise

    def addresses(self) -> list[Address]:
        """All addresses of all devices."""
        return [_address(message) for message in self._dump("listing the addresses", self._socket.addr)]

    def routes(self) -> list[DeviceRoute]:
        """The routes of all tables to one or many hosts elsewhere, one for each next hop, but none that the kernel has
        made by itself."""
        found: list[DeviceRoute] = []
        for version, family in _FAMILIES.items():
            messages = self._dump("listing the routes", self._socket.route, family=family)
            found.extend(_routes(version, messages))
        return found

    def add_bridge(self, name: str, mac: str) -> None:
        """Make a bridge without spanning tree; it is down."""
        with self._doing(f"making the bridge {name}"):
            self._socket.link("add", ifname=name, kind="bridge", address=mac, br_stp_state=0, br_forward_delay=0)

    def add_veth(self, here: Attributes, there: Attributes) -> None:
        """Make a pair of veth devices in one message; both are down.

        Attributes are those of :meth:`set_link`, and ``net_ns_fd``: a descriptor of the network namespace to be in.
        """
        with self._doing(f"making the interface {there['ifname']} ({here['ifname']} on the host)"):
            self._socket.link("add", kind="veth", **here, peer=there)

    def add_upper(self, kind: str, parent: Link, attributes: Attributes) -> None:
        """Make a macvlan or ipvlan device above another one; it is down.

        Attributes are those of :meth:`add_veth`, and ``macvlan_mode`` or ``ipvlan_mode`` (ip-link(8)).
        """
        with self._doing(f"making the interface {attributes['ifname']} ({kind} of {parent.name})"):
            self._socket.link("add", kind=kind, link=parent.ifindex, **attributes)

    def is_idle_port(self, link: Link) -> bool:
        """Whether a port of a bridge is in the state "disabled" (bridge(8)), as it is for a moment after it came up."""
        with self._doing(f"looking up the device {link.name}"):
            message = self._socket.link("get", index=link.ifindex)[0]
        state = message.get_nested("IFLA_LINKINFO", "IFLA_INFO_SLAVE_DATA", "IFLA_BRPORT_STATE")
        return bool(state == _BR_STATE_DISABLED)

    def announce(self, link: Link) -> None:
        """Have a device tell its neighbours its addresses, if its ``arp_notify`` and ``ndisc_notify`` are set.

        The kernel does so when a MAC address is set, also to what it is.
        """
        self.set_link(link, {"address": link.mac})

    def set_link(self, link: Link, attributes: Attributes) -> None:
        """Change ``ifname``, ``ifalias``, ``address`` (the MAC one), ``mtu``, ``master``, ``state`` in one message.

        With ``net_ns_fd``, a descriptor, the device moves to that network namespace, and is down there.
        """
        with self._doing(f"setting {attributes} on {link.name}"):
            self._socket.link("set", index=link.ifindex, **attributes)

    def isolate(self, link: Link, isolated: bool) -> None:
        """Say whether a port of a bridge is isolated from other isolated ones."""
        with self._doing(f"isolating {link.name}"):
            self._socket.brport("set", index=link.ifindex, isolated=int(isolated))

    def queue(self, link: Link) -> Queue | None:
        """The token bucket of a device that has one. They are all read at the first question, for the kernel has no
        answer about a single one that both versions of pyroute2 would let us ask for."""
        if link.discipline != _TOKEN_BUCKET:
            return None
        if self._queues is None or link.ifindex not in self._queues:
            messages = self._dump("listing the queues", lambda _command: self._socket.get_qdiscs())
            buckets = (each for each in messages if each.get_attr("TCA_KIND") == _TOKEN_BUCKET)
            self._queues = {each["index"]: _queue(each) for each in buckets if each["parent"] == _TC_H_ROOT}
        return self._queues.get(link.ifindex)

    def set_queue(self, link: Link, queue: Queue) -> None:
        """Have a device send by a token bucket, in the place of whatever it sends by."""
        with self._doing(f"making {link.name} send {queue.rate} bytes a second"):
            # pyroute2 makes microseconds of it again, and drops what is behind the point.
            burst = queue.rate * (queue.burst + 0.5) / 1e6
            self._socket.tc("replace", "tbf", index=link.ifindex, rate=queue.rate, burst=burst, limit=queue.limit)
        if self._queues is not None:
            self._queues[link.ifindex] = queue

    def delete_queue(self, link: Link) -> None:
        """Have a device send as it did before it got a token bucket."""
        with self._doing(f"making {link.name} send as fast as it can"):
            self._socket.tc("del", index=link.ifindex, parent=_TC_H_ROOT)
        if self._queues is not None:
            self._queues.pop(link.ifindex, None)

    def reflect(self, link: Link, hairpin: bool) -> None:
        """Say whether a port of a bridge gets back what came by it."""
        with self._doing(f"setting hairpin on {link.name}"):
            self._socket.brport("set", index=link.ifindex, mode=int(hairpin))

    def loopback_routes(self) -> set[int]:
        """The indexes of the devices, besides ``lo``, by which packets for ::1 are the host's own."""
        messages = self._dump("listing the routes", self._socket.route, family=_AF_INET6)
        return {
            message.get_attr("RTA_OIF")
            for message in messages
            if message.get_attr("RTA_DST") == "::1" and message["proto"] == _RTPROT_STATIC
        }

    def add_loopback_route(self, link: Link) -> None:
        """Make packets for ::1 that a device brings the host's own."""
        with self._doing(f"making ::1 the host's own at {link.name}"):
            self._socket.route("add", oif=link.ifindex, **_LOOPBACK_ROUTE)

    def delete_loopback_route(self, link: Link) -> None:
        """Undo that."""
        with self._doing(f"making ::1 not the host's own at {link.name}"):
            self._socket.route("del", oif=link.ifindex, **_LOOPBACK_ROUTE)

    def delete_link(self, link: Link) -> None:
        """Remove a device, and with one end of a veth pair the other."""
        with self._doing(f"removing the device {link.name}"):
            self._socket.link("del", index=link.ifindex)

    def add_address(self, link: Link, address: str) -> None:
        """Give a device an address, usable at once."""
        with self._doing(f"adding the address {address} to {link.name}"):
            self._socket.addr("add", **_of(link, address), flags=_IFA_F_NODAD if ":" in address else 0)

    def delete_address(self, link: Link, address: str) -> None:
        """Take an address from a device."""
        with self._doing(f"removing the address {address} from {link.name}"):
            self._socket.addr("del", **_of(link, address))

    def replace_route(self, link: Link, route: Route, *, onlink: bool = False) -> None:
        """Make a route by a device, in place of one to the same network with the same metric.

        :param onlink: the neighbour is there, though no address says so.
        """
        attributes = {"flags": _RTNH_F_ONLINK} if onlink else {}
        with self._doing(f"making the route to {route['to']} by {route['via'] or link.name}"):
            self._socket.route("replace", **_of_route(link.ifindex, route, _RT_SCOPE_LINK), **attributes)

    def delete_route(self, link: Link, route: Route) -> None:
        """Remove a route by a device."""
        with self._doing(f"removing the route to {route['to']} by {route['via'] or link.name}"):
            self._socket.route("del", **_of_route(link.ifindex, route, _RT_SCOPE_NOWHERE))

    def answers_for(self, link: Link, address: str) -> bool:
        """Whether the host answers for an address at a device (ARP and neighbour discovery)."""
        try:
            with self._doing(f"looking whether {link.name} answers for {address}"):
                return bool(self._socket.neigh("get", **_of_proxy(link, address)))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            raise

    def answer_for(self, link: Link, address: str) -> None:
        """Have the host answer for an address at a device, where the kernel lets it (proxy_ndp, forwarding)."""
        with self._doing(f"having {link.name} answer for {address}"):
            self._socket.neigh("replace", **_of_proxy(link, address))

    def leave_unanswered(self, link: Link, address: str) -> None:
        """The contrary."""
        with self._doing(f"having {link.name} not answer for {address}"):
            self._socket.neigh("del", **_of_proxy(link, address))


def _of_proxy(link: Link, address: str) -> dict[str, Any]:
    family = _FAMILIES[ipaddress.ip_address(address).version]
    return {"ifindex": link.ifindex, "family": family, "dst": address, "flags": _NTF_PROXY}


def _of_route(ifindex: int, route: Route, scope: int) -> dict[str, Any]:
    to = ipaddress.ip_network(route["to"])
    found = {"family": _FAMILIES[to.version], "oif": ifindex, "table": route["table"], "dst": route["to"]}
    if route["metric"] != USUAL_METRIC[to.version] or to.version == 6:
        found["priority"] = route["metric"]
    if route["via"]:
        found["gateway"] = route["via"]
    elif to.version == 4:
        found["scope"] = scope
    return found


def _of(link: Link, address: str) -> dict[str, Any]:
    parsed = ipaddress.ip_interface(address)
    return {
        "index": link.ifindex,
        "family": _FAMILIES[parsed.version],
        "address": str(parsed.ip),
        "prefixlen": parsed.network.prefixlen,
    }
