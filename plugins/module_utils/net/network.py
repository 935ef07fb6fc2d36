# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of jails: interfaces, bridges, masquerading and protection, put together."""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from .. import files
from ..errors import JailError
from . import bridges, egress, guard, lent, links, loopback, neighbours, phys, proxies
from .addresses import Interface, gateways, has_host_end
from .attached import Site
from .forwards import Forwards
from .forwards import is_in_use as forwards_in_use
from .netlink import Link, Netlink
from .publish import Forward, Reach

_LOCK = "host"


class Network:
    """The host's side of the network, for one run over any number of jails; a context manager.

    The host is the caller's network namespace, and a jail's is a descriptor, for a pid may pass to another process.
    Everything is read from the kernel at each call, but for how fast the host's ends send, which is read once. Every
    method raises :class:`JailError`. Those that change what jails share take the lock ``host``, so the caller must not
    hold it.
    """

    def __init__(self) -> None:
        self._socket: Netlink | None = None
        self._forwards = Forwards()

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_ignored: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the netlink socket; a later call opens another."""
        if self._socket:
            self._socket.close()
            self._socket = None

    def _open(self) -> Netlink:
        if not self._socket:
            self._socket = Netlink()
        return self._socket

    def read(self, namespace: int, slot: int) -> list[Interface]:
        """The live interfaces of the jail with this ``slot`` in the network ``namespace``, in canonical form.

        Right after :meth:`converge` it equals what was wanted; what somebody changed by hand shows.
        """
        with _explained():
            if loopback.is_alone(namespace):
                return []
            live = links.read(self._open(), namespace, slot)
            found = [guard.describe(each) for each in live if each.device]
            found += egress.describe(namespace, [(each.interface, each.mac) for each in live if not each.device])
            found.sort(key=lambda interface: interface["name"])
            limits = neighbours.read(namespace) if found else {}
            for interface in found:
                if interface["neighbours_max"]:
                    interface["neighbours_max"] = limits.get(interface["name"], 0)
            return found

    def converge(self, namespace: int, name: str, slot: int, wanted: Sequence[Interface]) -> None:
        """Make the network of the jail ``name`` exactly ``wanted``, and bring up ``lo``.

        Nothing that is as it should be is touched, so connections live on. Have ``wanted`` on record before: a
        :meth:`release` in another process goes by the records.

        :param namespace: a descriptor of the jail's network namespace.
        :param slot: a small number that no other jail has.
        :param wanted: what :func:`.addresses.parse_interfaces` gave.
        """

        def protect(by_device: Mapping[str, Interface], gone: Sequence[str]) -> None:
            with files.locked(_LOCK):
                guard.converge(name, by_device, gone)
            neighbours.converge(namespace, wanted)

        with _explained():
            loopback.bring_up(namespace)
            if not wanted and loopback.is_alone(namespace):
                return
            host = self._open()
            links.check(host, namespace, slot, wanted)
            with files.locked(_LOCK):
                guard.prepare([interface for interface in wanted if has_host_end(interface)])
                masters = _ensure_bridges(host, wanted)
            links.converge(host, namespace, name, slot, wanted, masters=masters, guard=protect)

    def release(
        self,
        jail: str,
        removed: Sequence[Interface],
        own: Callable[[], Sequence[Interface]],
        others: Callable[[], Iterable[Interface]],
        slots: Iterable[int] = (),
    ) -> None:
        """Take away what only the interfaces in ``removed``, of this ``jail``, needed: bridges of ours and their
        addresses, what the filter has of them, and when no jail is masqueraded any more, forwarding.

        :param own: gives the interfaces that are on record of the jail. It is called under the lock, as is the next, so
            that a jail that another process starts meanwhile is either among them or makes anew what it needs.
        :param others: and those of all other jails: it is asked for no more of them than it takes to know.
        :param slots: the numbers of jails of which nothing is to stay.
        """
        with _explained(), files.locked(_LOCK):
            kept, rest = own(), _Read(others())
            guard.release(jail, removed, kept, rest, slots)
            if removed:
                bridges.release(self._open(), removed, _Read(itertools.chain(kept, rest)))
            proxies.release(self._open, removed, _Read(itertools.chain(kept, rest)))

    def leave_unanswered(self, removed: Sequence[Interface], recorded: Callable[[], Iterable[Interface]]) -> None:
        """Have the host answer for none of the addresses that only these interfaces have, as their jail has stopped;
        ``recorded`` gives those of all others."""
        asked = [interface for interface in removed if interface["type"] == "routed" and interface["parent"]]
        if asked:
            with _explained(), files.locked(_LOCK):
                proxies.release(self._open, asked, recorded())

    def check_parents(self, wanted: Sequence[Interface]) -> None:
        """
        :raises JailError: when an interface belongs to a device that is not there, and that no jail has either.
        """
        there = {name for _index, name in socket.if_nameindex()} if any(each["parent"] for each in wanted) else set()
        for interface in wanted:
            parent = interface["parent"]
            if parent and parent not in there and lent.holder(parent) is None:
                raise JailError(
                    f"interface {interface['name']}: the host has no device {parent}, which is its parent",
                    option="interfaces",
                    advice="make the device first, or name another",
                )

    def lends(self, slot: int) -> bool:
        """Whether the jail with this ``slot`` has devices of the host."""
        return bool(lent.of(slot))

    def give_back(self, slot: int, namespace: int | None) -> None:
        """Give the host back the devices that the jail with this ``slot`` has to itself.

        :param namespace: a descriptor of its network namespace; ``None`` when that has ended with the jail.
        """
        if not lent.of(slot):
            return
        with _explained():
            if namespace is not None:
                with links.open_in(namespace) as jail:
                    phys.give_back(Site(self._open(), jail, namespace, "", slot))
            phys.recover(self._open(), slot)

    def read_published(
        self, namespace: int, name: str, slot: int, forwards: Sequence[Forward], interfaces: Sequence[Interface]
    ) -> list[Forward]:
        """The ports of the host that lead into a jail, in canonical form; right after :meth:`publish` those that were
        wanted.

        :param forwards: those that should be there.
        :param interfaces: those that the jail should have.
        """
        with _explained("publish"):
            if not (forwards or forwards_in_use()) or loopback.is_alone(namespace):
                return []
            ends = links.host_ends(self._open(), namespace, slot)
            return self._forwards.describe(self._open(), name, ends, forwards, interfaces)

    def publish(self, namespace: int, name: str, slot: int, reach: Reach) -> None:
        """Have the host's ports lead into a jail as ``reach`` says, and no others; what stands is not touched, so
        connections live on. Likewise, have it on record before."""
        with _explained("publish"), files.locked(_LOCK):
            ends = links.host_ends(self._open(), namespace, slot)
            self._forwards.converge(self._open(), name, ends, reach)

    def withdraw(self, name: str) -> None:
        """Have no port of the host lead into a jail, if one does; connections that are open go on."""
        if forwards_in_use():
            with _explained("publish"), files.locked(_LOCK):
                self._forwards.withdraw(name)

    def release_published(self, published: Callable[[], Mapping[str, Reach]]) -> None:
        """Take away what only ports needed that lead nowhere any more: what the filter has of them, the way from the
        host's loopback, and forwarding. Before :meth:`release` takes away the rest of the filter.

        :param published: gives what jails on record publish, by jail; under the lock, as above, and only where there
            is something to take away.
        """
        with _explained("publish"), files.locked(_LOCK):
            self._forwards.release(self._open, published)


class _Read(Iterable[Interface]):
    """What an iterator gives, read no further than it is asked for, and no part of it twice."""

    def __init__(self, source: Iterable[Interface]) -> None:
        self._coming = iter(source)
        self._known: list[Interface] = []

    def __iter__(self) -> Iterator[Interface]:
        for number in itertools.count():
            if number == len(self._known):
                try:
                    self._known.append(next(self._coming))
                except StopIteration:
                    return
            yield self._known[number]


@contextlib.contextmanager
def _explained(option: str = "interfaces") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        said = error.strerror or str(error)
        raise JailError(f"{error.filename}: {said}" if error.filename else said, option=option) from error


def _ensure_bridges(host: Netlink, wanted: Iterable[Interface]) -> dict[str, Link]:
    carried: dict[str, set[str]] = {}
    for interface in wanted:
        if not interface["bridge"]:
            continue
        carried.setdefault(interface["bridge"], set()).update(gateways(interface))
    return {name: bridges.ensure(host, name, addresses) for name, addresses in carried.items()}
