# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a jail's isolation options come to."""

from __future__ import annotations

import glob
import platform
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ...errors import JailError
from ...kernel.seccomp import Filter, answers
from .. import policy, syscall_policy
from . import labels, nodes, profiles, programs
from .record import Isolation

SWITCHES = {
    "allow_chflags": ("LINUX_IMMUTABLE",),
    "allow_mount": ("SYS_ADMIN",),
    "allow_raw_sockets": ("NET_RAW",),
    "allow_set_hostname": ("SYS_ADMIN",),
    "allow_socket_af": (),
    "allow_sysvipc": (),
    "children_max": (),
}
"""FreeBSD's switches (a number is one that is on unless it is 0), and the capabilities that each needs on Linux."""

_TAKEN_BY_SECURELEVEL = (
    (1, ("LINUX_IMMUTABLE", "SYS_MODULE", "SYS_RAWIO")),
    (2, ("SYS_TIME",)),
    (3, ("NET_ADMIN",)),
)
"""From which level on which capabilities cannot be had, whatever opens them."""
_NETWORK_SECURE = 3

_FOR_OWN_NETWORK = ("NET_ADMIN", "NET_RAW")
"""Capabilities that count only in a network of whose user namespace the process is."""

_FOREIGN = {"linux": {}, "linux32": {"x86_64": ("x86",), "aarch64": ("arm",)}}
"""By personality and machine: architectures (libseccomp's names) whose calls are allowed like the native ones."""


def settle(values: Mapping[str, Any]) -> Isolation:
    """Settle what the options come to, and compile what has to be compiled.

    :param values: canonical values of all isolation options.
    :raises JailError: when they cannot be had together, or a profile cannot be read.
    """
    _refuse_impossible(values)
    refuse_without_network(values)
    bounding = _capabilities(values)
    filters, digest = _filters(values, bounding)
    readonly = _changed(policy.READONLY_PATHS, values["readonly_paths"])
    return Isolation(
        capabilities=bounding,
        programs=_programs(filters, digest),
        profile=digest,
        no_new_privs=values["no_new_privs"],
        personality=values["personality"],
        masked_paths=list(_as_here(_changed(policy.MASKED_PATHS, values["masked_paths"]))),
        readonly_paths=readonly,
        writable_paths=_within(readonly, _writable(values, bounding)),
        labels={},
        may_mount=values["allow_mount"],
        may_nest=values["children_max"] > 0,
        children_max=values["children_max"],
        devices=nodes.nodes(values["devices"], values["securelevel"]),
        devices_filtered=True,
        shares_network=values["network"] == "host",
        time_offset=values["time_offset"] if any(values["time_offset"].values()) else {},
    )


def check(values: Mapping[str, Any]) -> None:
    """Raise what :func:`settle` would, without compiling anything.

    :raises JailError: likewise.
    """
    _refuse_impossible(values)
    refuse_without_network(values)
    _filters(values, _capabilities(values))
    nodes.nodes(values["devices"], values["securelevel"])
    labels.check(values)


def _refuse_impossible(values: Mapping[str, Any]) -> None:
    if values["allow_chflags"] and values["userns"] != "host":
        raise JailError(
            "the kernel lets nobody outside the host's user namespace change these flags",
            option="allow_chflags",
            advice="it can only be had together with userns=host",
        )
    for switch in ("allow_mount", "allow_set_hostname"):
        if values[switch] and values["userns"] == "host":
            raise JailError(
                "it needs CAP_SYS_ADMIN, which in the host's user namespace is power over the host",
                option=switch,
                advice="it cannot be had together with userns=host",
            )
    if values["children_max"] and values["userns"] == "host":
        raise JailError(
            "what is made below the host's user namespace counts as the host's, and no limit would be the jail's own",
            option="children_max",
            advice="it cannot be had together with userns=host",
        )


def refuse_without_network(values: Mapping[str, Any]) -> None:
    """Refuse what is nothing, or the host's, in a jail without a network of its own.

    :raises JailError: then.
    """
    if values["network"] != "host":
        return
    if values["sysctls"]:
        raise JailError(
            "they are parameters of the jail's own network, and with network=host it has none",
            option="sysctls",
            advice="say sysctls={} (jail_state), or network=private (jail_net)",
        )
    if values["userns"] == "host":
        return
    added = [name for name in _FOR_OWN_NETWORK if name in values["capabilities"]["add"]]
    for option, useless in (("allow_raw_sockets", values["allow_raw_sockets"]), ("capabilities", added)):
        if useless:
            what = " and ".join(added) if option == "capabilities" else "it"
            raise JailError(
                f"{what} would do nothing with network=host: in that network the kernel counts the capabilities of the "
                "host's user namespace only",
                option=option,
                advice="do without (jail_state), or say network=private (jail_net), or userns=host (jail_state)",
            )


def _capabilities(values: Mapping[str, Any]) -> list[str]:
    """The bounding set: the baseline and what the switches need, less what is dropped, and what is added; no more than
    the securelevel leaves."""
    opened = {name for switch, needed in SWITCHES.items() if values[switch] for name in needed}
    said = values["capabilities"]
    had = ({*policy.CAPABILITIES, *opened} - set(said["drop"])) | set(said["add"])
    for level, taken in _TAKEN_BY_SECURELEVEL:
        if values["securelevel"] >= level:
            had -= set(taken)
    return sorted(had)


def _filters(values: Mapping[str, Any], bounding: Collection[str]) -> tuple[Sequence[Filter], str]:
    """The seccomp filters, each of which decides what those before it allow, and the digest of the profile that they
    are from."""
    if values["seccomp"] == profiles.UNCONFINED:
        return [], ""
    if values["seccomp"] != profiles.DEFAULT:
        profile = profiles.load(values["seccomp"], bounding)
        return [profile.filter], profile.digest
    opened = tuple(switch for switch in SWITCHES if values[switch])
    if values["userns"] != "host":
        opened = (*opened, syscall_policy.OWNERS_FLAGS)
    foreign = _FOREIGN[values["personality"]].get(platform.machine(), ())
    return syscall_policy.filters(opened, foreign), ""


def _programs(filters: Sequence[Filter], digest: str) -> list[str]:
    if not filters:
        return []
    if digest and answers(filters[0].default):
        return [programs.keep_with_newer_missing(filters[0])]
    return [programs.keep(filters)]


def _writable(values: Mapping[str, Any], bounding: Collection[str]) -> list[str]:
    """The parameters of its network, where the kernel leaves them to CAP_NET_ADMIN. Of who is root of the host it asks
    for no capability."""
    of_the_host = values["network"] == "host"
    admin = values["userns"] != "host" or "NET_ADMIN" in bounding
    if values["securelevel"] >= _NETWORK_SECURE or of_the_host or not admin:
        return []
    return list(policy.WRITABLE_PATHS)


def _within(folders: Sequence[str], paths: Sequence[str]) -> list[str]:
    return [path for path in paths if any(path.startswith(f"{folder}/") for folder in folders)]


def _changed(baseline: Sequence[str], said: Mapping[str, Sequence[str]]) -> list[str]:
    kept = [path for path in baseline if path not in said["remove"]]
    return [*kept, *(path for path in said["add"] if path not in kept)]


def _as_here(masked: Sequence[str]) -> Iterator[str]:
    """In place of what the baseline has for each of a kind, those that this host has: a jail's /sys has the same."""
    for path in masked:
        if path in policy.MASKED_PATHS and glob.has_magic(path):
            yield from sorted(glob.glob(path))
        else:
            yield path
