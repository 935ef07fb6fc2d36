# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``jail_state``: what a jail's pid 1 is, and whether it runs."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from ..kernel import idmap, namespaces, paths, signals
from . import freeze, identity, ids, live, place, policy, remove, start, stop, store
from .facet import Facet, Values, parse_each
from .isolation import options as isolation
from .isolation import settled
from .live import Running
from .options import Option
from .plan import FREEZE, REMOVE, RESTART, START, STOP, THAW, Action, Request, plan_state
from .volumes.given import check as check_volumes

_SECONDS_MAX = 3600
_HOST_NAME_MAX = 64  # sethostname(2), __NEW_UTS_LEN
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def _parse_command(value: list[str]) -> list[str] | None:
    if any("\0" in word for word in value):
        raise ValueError("a word of a command cannot hold a NUL character")
    return list(value) or None


def _parse_init(value: str) -> str:
    if not value.startswith("/") or "\0" in value:
        raise ValueError(f"{value!r} is not an absolute path inside the jail, such as {policy.INIT}")
    return value


def _parse_hostname(value: str) -> str:
    if not _HOST_NAME.fullmatch(value) or len(value) > _HOST_NAME_MAX:
        raise ValueError(
            f"{value!r} is not a host name: at most {_HOST_NAME_MAX} characters, labels of letters, digits and '-' "
            "parted by dots (RFC 1123)"
        )
    return value


def _parse_signal(value: str) -> str:
    try:
        signals.number_of(value)
    except KeyError:
        raise ValueError(f"{value!r} is not a signal; signal(7) has them, for example SIGTERM or SIGRTMIN+3") from None
    return value.upper()


def _parse_seconds(value: Any) -> float:
    if not 0 <= float(value) <= _SECONDS_MAX:
        raise ValueError(f"{value!r} is not between 0 and {_SECONDS_MAX} seconds")
    return float(value)


def _read_hostname(running: Running) -> str:
    with paths.opened(running.open_part("ns/uts")) as names, namespaces.inside(names, "uts"):
        return socket.gethostname()


def _write_hostname(running: Running, value: str) -> None:
    with paths.opened(running.open_part("ns/uts")) as names, namespaces.inside(names, "uts"):
        namespaces.set_hostname(value)
    identity.write_hostname(running, value)


def _parse_userns(value: str) -> str:
    if value in ("auto", "host"):
        return value
    if not (value.isascii() and value.isdigit()):
        raise ValueError(f"{value!r} is neither auto nor host nor the first of {ids.COUNT} ids")
    ids.check_fixed(int(value))
    return str(int(value))


def _read_userns(running: Running) -> str:
    if namespaces.is_own(running.pid, "user"):
        return "host"
    first = idmap.first_outside(running.pid)
    return "auto" if first == ids.first_id(running.slot) else str(first)


def _conflicts(desired: Mapping[str, Values]) -> Mapping[str, str]:
    """Ranges of ids that two jails were to have."""
    fixed = {name: int(values["userns"]) for name, values in desired.items() if values.get("userns", "").isdigit()}
    found = {}
    for name, own in fixed.items():
        for other, its in fixed.items():
            if name != other and abs(own - its) < ids.COUNT:
                found[name] = f"userns: the {ids.COUNT} ids from {own} on reach into those of {other}, from {its} on"
    return found


OPTIONS = (
    Option(
        "command",
        type="list",
        elements="str",
        parse=_parse_command,
        read=lambda running: running.started_with["command"],
    ),
    Option("init", default=policy.INIT, parse=_parse_init, read=lambda running: running.started_with["init"]),
    Option("hostname", parse=_parse_hostname, read=_read_hostname, write=_write_hostname),
    Option("userns", default=policy.USERNS, parse=_parse_userns, read=_read_userns),
    Option("stop_signal", parse=_parse_signal),
    Option("stop_timeout", type="float", default=policy.STOP_SECONDS, parse=_parse_seconds),
    *isolation.OPTIONS,
)

_parse_each = parse_each(OPTIONS)


def _parse(given: Values, recorded: Values) -> dict[str, Any]:
    """Each option by itself, then whether those of isolation can be had together."""
    values = _parse_each(given, recorded)
    if any(option.name in values for option in isolation.OPTIONS) or "userns" in values:
        settled.check(place.isolation_of({**recorded, **values}, store.read(given["name"], "net")))
    whole = {**recorded, **values}
    if "mounts" in values or "userns" in values:
        check_volumes(whole.get("mounts", ()), whole.get("userns") == "host")
    return values


def _start(request: Request, _actions: Sequence[Action]) -> None:
    start.start(request.name)


def _stop(request: Request, _actions: Sequence[Action]) -> None:
    stop.stop_as_desired(request.name)


def _restart(request: Request, _actions: Sequence[Action]) -> None:
    stop.stop_as_desired(request.name)
    start.start(request.name)


def _freeze(request: Request, _actions: Sequence[Action]) -> None:
    freeze.freeze(live.expect(request.name))


def _thaw(request: Request, _actions: Sequence[Action]) -> None:
    freeze.thaw(live.expect(request.name))


def _remove(request: Request, _actions: Sequence[Action]) -> None:
    remove.remove(request.name)


FACET = Facet(
    name="state",
    options=OPTIONS,
    states=("started", "frozen", "stopped", "restarted", "absent"),
    parse=_parse,
    plan=plan_state,
    exists=remove.has_traces,
    conflicts=_conflicts,
    perform={START: _start, STOP: _stop, RESTART: _restart, FREEZE: _freeze, THAW: _thaw, REMOVE: _remove},
    settle=start.settle,
)
