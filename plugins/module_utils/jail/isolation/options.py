# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The isolation options of ``jail_state``: FreeBSD's switches, and the primitives beneath them.

Most are decided by a start. What a running jail has of these is read as what it was started with, as long as the
kernel bears that out; where it does not, as what is wrong, which then waits for a restart.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any, Callable

from ...kernel import capabilities, namespaces, process
from .. import policy
from ..live import Running
from ..options import Option, as_it_is
from ..volumes import live as volumes
from ..volumes import words
from . import children, labels, nodes, observed, profiles, sysctls
from .fact import Fact

_SECURELEVELS = (-1, 3)
_STATFS = (0, 1, 2)
_SECONDS_MAX = 100 * 366 * 24 * 3600  # of a clock's offset; the kernel takes half of what 64 bits hold


def _parse_capabilities(value: Mapping[str, Any]) -> dict[str, list[str]]:
    add = [_capability(name) for name in value.get("add") or ()]
    drop = [_capability(name) for name in value.get("drop") or () if str(name).upper() != "ALL"]
    if any(str(name).upper() == "ALL" for name in value.get("drop") or ()):
        drop = list(capabilities.NAMES)
    return {"add": sorted(set(add)), "drop": sorted(set(drop))}


def _capability(name: str) -> str:
    short = name.upper()
    short = short.removeprefix("CAP_")
    if short not in capabilities.NAMES:
        raise ValueError(f"{name!r} is not a capability; capabilities(7) has them, for example NET_RAW")
    return short


def _show_capabilities(value: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
    if isinstance(value, str) or value["drop"] != sorted(capabilities.NAMES):
        return value
    return {**value, "drop": ["ALL"]}


def _parse_paths(baseline: Sequence[str]) -> Callable[[Mapping[str, Any]], dict[str, list[str]]]:
    """A parser for what is added to a list of paths and taken from it."""

    def parse(value: Mapping[str, Any]) -> dict[str, list[str]]:
        add = sorted({_path(path) for path in value.get("add") or ()})
        remove = sorted({_path(path) for path in value.get("remove") or ()})
        for path in remove:
            if path not in baseline:
                raise ValueError(f"{path} is none of those that can be taken away: {', '.join(baseline)}")
        return {"add": add, "remove": remove}

    return parse


def _path(value: str) -> str:
    if not value.startswith("/") or "\0" in value or posixpath.normpath(value) in ("/", "//"):
        raise ValueError(f"{value!r} is not an absolute path inside the jail below its root")
    return posixpath.normpath(value)


def _parse_securelevel(value: int) -> int:
    if not _SECURELEVELS[0] <= value <= _SECURELEVELS[1]:
        raise ValueError(f"{value} is not between {_SECURELEVELS[0]} and {_SECURELEVELS[1]}")
    return value


def _parse_statfs(value: int) -> int:
    if value not in _STATFS:
        raise ValueError(f"{value} is none of {', '.join(map(str, _STATFS))}")
    return value


def _parse_time_offset(value: Mapping[str, Any]) -> dict[str, int]:
    found = {clock: int(value.get(clock) or 0) for clock in namespaces.CLOCKS}
    for clock, seconds in found.items():
        if abs(seconds) > _SECONDS_MAX:
            raise ValueError(f"{clock}: {seconds} is out of range: the most is {_SECONDS_MAX} seconds")
    return found


def _read(name: str, look: Callable[[Running], Fact]) -> Callable[[Running], Any]:
    """What an option was started with, when the kernel bears it out."""

    def read(running: Running) -> Any:
        fact = look(running)
        if not fact.holds:
            return f"not as it was started: {fact.name} is {fact.live} and not {fact.expected}"
        return running.started_with[name]

    return read


def _read_seccomp(running: Running) -> Any:
    found = _read("seccomp", observed.seccomp)(running)
    if running.isolation.profile and profiles.digest(found) != running.isolation.profile:
        return f"{found}, as it was when the jail was started"
    return found


def _switch(name: str, look: Callable[[Running], Fact]) -> Option:
    return Option(name, type="bool", default=False, read=_read(name, look))


def _changes(
    name: str,
    words: tuple[str, str],
    parse: Callable[[Any], Any],
    look: Callable[[Running], Fact],
    show: Callable[[Any], Any] = as_it_is,
) -> Option:
    """An option that adds to a list of ours and takes from it."""
    return Option(
        name,
        type="dict",
        suboptions=tuple(Option(word, type="list", elements="str") for word in words),
        default={word: [] for word in words},
        parse=parse,
        show=show,
        read=_read(name, look),
    )


OPTIONS = (
    _switch("allow_chflags", observed.bounding_set),
    _switch("allow_mount", observed.bounding_set),
    _switch("allow_raw_sockets", observed.bounding_set),
    _switch("allow_set_hostname", observed.bounding_set),
    _switch("allow_socket_af", observed.seccomp),
    _switch("allow_sysvipc", observed.seccomp),
    Option(
        "children_max",
        type="int",
        default=0,
        parse=children.parse,
        read=children.read,
        write=children.write,
        waits=children.waits,
    ),
    Option(
        "securelevel",
        type="int",
        default=-1,
        parse=_parse_securelevel,
        read=_read("securelevel", observed.bounding_set),
    ),
    _changes("capabilities", ("add", "drop"), _parse_capabilities, observed.bounding_set, _show_capabilities),
    Option("seccomp", default=profiles.DEFAULT, parse=profiles.parse_name, read=_read_seccomp),
    Option(
        "apparmor_profile",
        default=labels.GENERATED,
        parse=labels.parse_profile,
        read=_read("apparmor_profile", observed.label),
    ),
    Option("selinux_context", default="", parse=labels.parse_context, read=_read("selinux_context", observed.label)),
    Option("enforce_statfs", type="int", default=1, parse=_parse_statfs, read=_read("enforce_statfs", observed.label)),
    _switch("no_new_privs", observed.no_new_privs),
    _changes("masked_paths", ("add", "remove"), _parse_paths(policy.MASKED_PATHS), observed.masked_paths),
    _changes("readonly_paths", ("add", "remove"), _parse_paths(policy.READONLY_PATHS), observed.readonly_paths),
    Option(
        "personality",
        choices=tuple(process.PERSONALITIES),
        default="linux",
        read=_read("personality", observed.personality),
    ),
    Option(
        "time_offset",
        type="dict",
        suboptions=tuple(Option(clock, type="int") for clock in namespaces.CLOCKS),
        default=dict.fromkeys(namespaces.CLOCKS, 0),
        parse=_parse_time_offset,
        read=_read("time_offset", observed.time_offset),
    ),
    Option(
        "devices",
        type="list",
        elements="dict",
        suboptions=nodes.SUBOPTIONS,
        default=[],
        parse=nodes.parse,
        read=nodes.read,
        write=nodes.write,
    ),
    Option(
        "sysctls",
        type="dict",
        default={},
        parse=sysctls.parse,
        show=sysctls.show,
        read=sysctls.PARAMETERS.read,
        write=sysctls.PARAMETERS.write,
        waits=sysctls.waits,
    ),
    Option(
        "mounts",
        type="list",
        elements="dict",
        suboptions=words.SUBOPTIONS,
        default=[],
        parse=words.parse,
        show=words.show,
        read=volumes.read,
        write=volumes.write,
    ),
)


def desired(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all isolation options of a jail of which this is recorded, its ``userns`` and its ``network``."""
    others = {"userns": policy.USERNS, "network": policy.NETWORK}
    found = {name: recorded.get(name, default) for name, default in others.items()}
    return {**found, **{option.name: recorded.get(option.name, option.default) for option in OPTIONS}}
