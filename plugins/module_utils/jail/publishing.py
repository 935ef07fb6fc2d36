# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option ``publish`` of ``jail_net``: ports of the host that lead into a jail, changed live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import JailError
from ..kernel import sockets
from ..net import publish
from ..net.publish import Forward
from . import hostnet, place, store
from .live import Running
from .options import Option


def _read(running: Running) -> list[Forward]:
    if place.is_shared_by(running):
        return []
    recorded = store.read(running.name, "net")
    wanted, interfaces = recorded.get("publish", []), hostnet.interfaces(recorded)
    with hostnet.namespace(running) as namespace:
        return hostnet.host().read_published(namespace, running.name, running.slot, wanted, interfaces)


def _write(running: Running, value: list[Forward]) -> None:
    """Interfaces stand before it: they are an option of the same facet, and come first."""
    lead(running, {**store.read(running.name, "net"), "publish": value})
    release()


def lead(running: Running, recorded: Mapping[str, Any]) -> None:
    """Have the host's ports lead into a running jail as is recorded, and no others."""
    with hostnet.namespace(running) as namespace:
        hostnet.host().publish(namespace, running.name, running.slot, hostnet.reach(recorded))


def follow(running: Running, recorded: Mapping[str, Any]) -> None:
    """Likewise, after the jail's interfaces have been brought to what is recorded."""
    if recorded.get("publish"):
        lead(running, recorded)
    elif recorded.get("interfaces"):
        hostnet.host().withdraw(running.name)


def withdraw(name: str) -> None:
    """Have no port of the host lead to a jail that does not run."""
    hostnet.host().withdraw(name)


def release(besides: str = "") -> None:
    """Give up what no recorded jail publishes any more, as if one of them were not recorded."""
    host = hostnet.host()
    host.release_published(lambda: hostnet.reaches([name for name in store.names() if name != besides]))


_FORWARD = (
    Option("host_address"),
    Option("host_port", required=True),
    Option("jail_port"),
    Option("jail_address"),
    Option("interface"),
    Option("protocol", choices=publish.PROTOCOLS),
)

OPTIONS = (
    Option(
        "publish",
        type="list",
        elements="dict",
        suboptions=_FORWARD,
        default=[],
        parse=publish.parse,
        read=_read,
        write=_write,
        waits=place.waits,
    ),
)


def check(recorded: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Refuse what has nothing to lead to, and a port of the host that one of its own processes listens on.

    :param recorded: what is to be recorded of the jail's network.
    :param before: what is recorded: of what stands there the ports are not looked at again.
    :raises JailError: then.
    """
    hostnet.reach(recorded)
    known = before.get("publish", [])
    expect_free([forward for forward in recorded.get("publish", []) if forward not in known])


def expect_free(forwards: Sequence[Forward]) -> None:
    """Refuse a port of the host that one of its own processes listens on: it would hear nothing any more.

    :raises JailError: then, and names the process.
    """
    for protocol in sorted({forward["protocol"] for forward in forwards}):
        listeners = sockets.listeners(protocol)
        for forward in forwards:
            for listener in listeners if forward["protocol"] == protocol else ():
                if publish.covers(forward, listener.address, listener.port, listener.both):
                    raise JailError(
                        f"{publish.name_of(forward)} is taken: {sockets.owner(listener)} of the host listens at "
                        f"{listener.address} port {listener.port}",
                        option="publish",
                        advice="give another host_port or host_address, or end that process",
                    )


def conflicts(desired: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What jails publish both: a sentence for each jail concerned."""
    return publish.conflicts({name: values.get("publish", []) for name, values in desired.items()})
