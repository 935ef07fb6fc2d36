# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In whose network a jail is: in one of its own, or in the host's; the option ``network`` of ``jail_net``.

A start decides it: a process can be moved to another network namespace by nobody but itself (setns(2)).

Abstract unix sockets belong to a network, so those of the host can be reached from a jail in the host's. Landlock could
keep them apart (landlock(7), ``LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET``), but nobody can join the domain of another
process: each that is entered would have one of its own, and see neither the sockets of the jail's other processes nor
``/proc/PID/exe`` of any, by which service managers know them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import JailError
from ..kernel import namespaces
from . import live, policy, store
from .isolation import options, settled
from .live import Running
from .options import Option

NETWORK, PRIVATE, HOST = "network", "private", "host"

GIVEN_UP = (
    "network: it is in the host's network: it reaches what listens on the host's loopback and in abstract unix sockets "
    "(CVE-2020-15257), and whatever the host reaches; it can take the host's ports; and no filter or limit of ours "
    "stands between"
)


def is_shared_by(running: Running) -> bool:
    """Whether a running jail is in our network, by the kernel's word."""
    return namespaces.is_own(running.pid, "net")


def of(recorded: Mapping[str, Any]) -> str:
    """What was said of a jail of whose network this is recorded."""
    return str(recorded.get(NETWORK, policy.NETWORK))


def isolation_of(state: Mapping[str, Any], wiring: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all isolation options of a jail of which this is recorded (:func:`.options.desired`)."""
    return options.desired({**state, NETWORK: of(wiring)})


def waits(name: str, _value: Any, running: bool) -> bool:
    """Whether an option that needs a network of the jail's own has to wait until it is started in one."""
    found = live.find(name) if running else None
    return found is not None and is_shared_by(found)


def check(name: str, values: Mapping[str, Any], apart: tuple[str, ...]) -> None:
    """Refuse what cannot be had in the host's network.

    :param values: what is to be recorded of the jail's network.
    :param apart: the options that need one of its own.
    :raises JailError: then.
    """
    if of(values) != HOST:
        return
    for option in apart:
        if values.get(option):
            raise JailError(
                f"{option} needs a network of the jail's own, and with {NETWORK}={HOST} it has none",
                option=NETWORK,
                advice=f"say {option}=[] or {NETWORK}={PRIVATE}",
            )
    settled.refuse_without_network(isolation_of(store.read(name, "state"), values))


OPTIONS = (
    Option(
        NETWORK,
        choices=(PRIVATE, HOST),
        default=policy.NETWORK,
        read=lambda running: HOST if is_shared_by(running) else PRIVATE,
    ),
)
