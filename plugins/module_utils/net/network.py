# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of jails: interfaces, bridges and masquerading, put together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from .. import files
from ..errors import JailError
from . import bridges, links, loopback
from .addresses import Interface, gateways
from .masquerade import Masquerade
from .netlink import Link, Netlink

_LOCK = "host"


class Network:
    """The host's side of the network, for one run over any number of jails; a context manager.

    The host is the caller's network namespace. What is masqueraded is read once in such a run; all else is read from
    the kernel at each call. Every method raises :class:`JailError`. Those that change what jails share take the lock
    ``host``, so the caller must not hold it.
    """

    def __init__(self) -> None:
        self._socket: Netlink | None = None
        self._masquerade = Masquerade()

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

    def read(self, pid: int, slot: int) -> list[Interface]:
        """The live interfaces of the jail with this ``slot`` in the network namespace of ``pid``, in canonical form.

        Right after :meth:`converge` it equals what was wanted; what somebody changed by hand shows.
        """
        with _explained():
            if loopback.is_alone(pid):
                return []
            found = links.read(self._open(), pid, slot)
            for interface in found:
                interface["masquerade"] = self._masquerade.covers(interface)
            return found

    def converge(self, pid: int, name: str, slot: int, wanted: Sequence[Interface]) -> None:
        """Make the network of the jail ``name`` exactly ``wanted``, and bring up ``lo``.

        Nothing that is as it should be is touched, so connections live on. Have ``wanted`` on record before: a
        :meth:`release` in another process goes by the records.

        :param pid: a process in the jail's network namespace, as the caller's pid namespace numbers it.
        :param slot: a small number that no other jail has.
        :param wanted: what :func:`.addresses.parse_interfaces` gave.
        """
        with _explained():
            loopback.bring_up(pid)
            host = self._open() if wanted or not loopback.is_alone(pid) else None
            with files.locked(_LOCK):
                self._masquerade.converge(name, wanted)
                masters = _ensure_bridges(host, wanted) if host else {}
            if host:
                links.converge(host, pid, name, slot, wanted, masters=masters)

    def release(self, removed: Iterable[Interface], recorded: Callable[[], Iterable[Interface]]) -> None:
        """Take away what only the interfaces in ``removed`` needed: bridges of ours and their addresses, masquerading,
        and when no jail is masqueraded any more, the table and forwarding.

        :param recorded: gives the interfaces of all jails that are on record. It is called under the lock, so that a
            jail that another process starts meanwhile is either among them or makes anew what it needs.
        """
        with _explained(), files.locked(_LOCK):
            kept = list(recorded())
            self._masquerade.release(kept)
            bridges.release(self._open(), removed, kept)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        said = error.strerror or str(error)
        raise JailError(f"{error.filename}: {said}" if error.filename else said, option="interfaces") from error


def _ensure_bridges(host: Netlink, wanted: Iterable[Interface]) -> dict[str, Link]:
    carried: dict[str, set[str]] = {}
    for interface in wanted:
        carried.setdefault(str(interface["bridge"]), set()).update(gateways(interface))
    return {name: bridges.ensure(host, name, addresses) for name, addresses in carried.items()}
