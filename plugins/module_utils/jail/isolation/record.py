# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The isolation of a running jail: settled at its start (:mod:`settled`), recorded with it, and the same for all that
enters it later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

APPARMOR, SELINUX = "apparmor", "selinux"
"""The security modules that a label can be of."""


class Node(NamedTuple):
    """A device of the host's in a jail, besides those that every jail has.

    :param name: below ``/dev``.
    :param kind: ``b`` or ``c``.
    :param access: ``r``, ``w`` or ``rw``.
    """

    name: str
    kind: str
    major: int
    minor: int
    access: str
    mode: int


class Isolation(NamedTuple):
    """What holds the processes of a jail; JSON-able.

    :param capabilities: the bounding set.
    :param programs: names of seccomp programs (:mod:`programs`), in the order of loading; none when unconfined.
    :param profile: the digest of the seccomp profile's file; empty when it is none.
    :param masked_paths: absolute paths in the jail that are covered.
    :param readonly_paths: absolute paths in the jail that are read-only, and within them those that are not.
    :param labels: of its processes, by security module.
    :param may_mount: whether its root may mount.
    :param may_nest: whether its users may make user namespaces below its own, and mount and the like there.
    :param children_max: how many of them there may be.
    :param devices: those besides the standard ones.
    :param shares_network: whether its network namespace is the host's.
    :param time_offset: seconds by which each clock of :data:`namespaces.CLOCKS` is moved; empty without a time
        namespace.
    :param devices_filtered: whether the cgroup lets nothing else be opened.
    """

    capabilities: Sequence[str]
    programs: Sequence[str]
    profile: str
    no_new_privs: bool
    personality: str
    masked_paths: Sequence[str]
    readonly_paths: Sequence[str]
    writable_paths: Sequence[str]
    labels: Mapping[str, str]
    may_mount: bool
    may_nest: bool
    children_max: int
    devices: Sequence[Node]
    devices_filtered: bool
    shares_network: bool
    time_offset: Mapping[str, int]

    @property
    def has_inner(self) -> bool:
        """Whether its processes are in a user namespace below the one that was made for it (:mod:`inner`)."""
        return self.may_mount or self.may_nest


def restored(value: Mapping[str, Any]) -> Isolation:
    """The isolation from what :meth:`Isolation._asdict` gave, by way of JSON.

    :raises KeyError: when it is of another version.
    """
    fields = {name: value[name] for name in Isolation._fields}
    return Isolation(**{**fields, "devices": [Node(*node) for node in value["devices"]]})
