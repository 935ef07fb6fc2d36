# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels of the host's security module on a jail's processes: AppArmor profiles and SELinux contexts.

A label is set for the exec with which a process becomes the jail's, the first one and every one that enters.

Where a host has neither module, Landlock does not take their place. What enters a jail would be in a domain beside that
of its first process, and of such neighbours the kernel lets none trace the other, nor follow ``/proc/PID/root`` or
``exe``: ps(1), debuggers and systemctl(1), which looks whether it is in a chroot, would fail in what enters. Nor could
anything be mounted. What it would add, that no file outside the jail's root is executed or opened by a link of /proc,
is had by leaving no descriptor open (close_range(2)) and by :mod:`image`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from typing import Any

from ... import files, layout
from ...errors import JailError
from ...kernel import apparmor, apparmor_parser, selinux
from . import apparmor_profile
from .record import APPARMOR, SELINUX, Isolation

GENERATED, UNCONFINED = "generated", "unconfined"
_PROFILE_OPTION, _CONTEXT_OPTION = "apparmor_profile", "selinux_context"
_TABLES_HIDDEN = apparmor_profile.TABLES_HIDDEN
_PREFIX = "cellblock-jail."
_PROFILE = re.compile(r"[A-Za-z0-9/_.+-][A-Za-z0-9/_.+-]{0,127}")
_CONTEXT = re.compile(r"[A-Za-z0-9_]+:[A-Za-z0-9_]+:[A-Za-z0-9_]+(:[A-Za-z0-9,.:-]+)?")


def parse_profile(value: str) -> str:
    """``generated``, ``unconfined``, or the name of a profile."""
    if not _PROFILE.fullmatch(value):
        raise ValueError(f"{value!r} is not the name of a profile, nor {GENERATED} or {UNCONFINED}")
    return value


def parse_context(value: str) -> str:
    """A context, or nothing."""
    if value and not _CONTEXT.fullmatch(value):
        raise ValueError(f"{value!r} is not a context; write it like system_u:system_r:container_t:s0:c1,c2")
    return value


def check(values: Mapping[str, Any]) -> None:
    """Refuse a label that the host could not give now.

    :raises JailError: then.
    """
    profile, context = values[_PROFILE_OPTION], values[_CONTEXT_OPTION]
    if values["enforce_statfs"] == _TABLES_HIDDEN and not (profile == GENERATED and apparmor.is_enabled()):
        raise JailError(
            "what is mounted can only be hidden by a generated AppArmor profile, and the jail has none",
            option="enforce_statfs",
            advice="turn AppArmor on, or leave it at 1, which shows what is mounted in the jail and no more",
        )
    if profile not in (GENERATED, UNCONFINED):
        if not apparmor.is_enabled():
            raise JailError("the host's kernel has AppArmor not on", option=_PROFILE_OPTION)
        if not apparmor.is_loaded(profile):
            raise JailError(
                f"the kernel has no profile {profile}",
                option=_PROFILE_OPTION,
                advice="load it with apparmor_parser --replace",
            )
    if context:
        if not selinux.is_enabled():
            raise JailError("the host's kernel has SELinux not on", option=_CONTEXT_OPTION)
        try:
            selinux.check(context)
        except OSError as error:
            raise JailError(f"the host's policy has no {context}", option=_CONTEXT_OPTION) from error


def prepare(name: str, values: Mapping[str, Any], isolation: Isolation) -> Isolation:
    """The isolation with the labels of a jail that is being started; a generated profile is in the kernel then.

    :raises JailError: when one cannot be given.
    """
    check(values)
    labels = {}
    profile = values[_PROFILE_OPTION]
    if profile == GENERATED and apparmor.is_enabled():
        profile = f"{_PREFIX}{name}"
        apparmor.load(_compiled(apparmor_profile.text(profile, isolation, values)))
    if profile not in (GENERATED, UNCONFINED):
        labels[APPARMOR] = profile
    if values[_CONTEXT_OPTION]:
        labels[SELINUX] = values[_CONTEXT_OPTION]
    return isolation._replace(labels=labels)


def remove(name: str) -> None:
    """Take the generated profile of a jail that does not run out of the kernel."""
    if apparmor.is_enabled():
        apparmor.remove(f"{_PREFIX}{name}")


def read(pid: int) -> dict[str, str]:
    """The labels of a process, of each module that is on."""
    found = {}
    if apparmor.is_enabled():
        found[APPARMOR] = apparmor.label(pid)
    if selinux.is_enabled():
        found[SELINUX] = selinux.context(pid)
    return found


def hold(live: Mapping[str, str], settled: Mapping[str, str]) -> bool:
    """Whether a process has the labels that were settled; a profile of ours has to be enforced."""
    profile = settled.get(APPARMOR)
    context = settled.get(SELINUX)
    named, _space, mode = live.get(APPARMOR, "").partition(" ")
    enforced = mode == "(enforce)" or not str(profile).startswith(_PREFIX)
    return (profile is None or (named == profile and enforced)) and (context is None or live.get(SELINUX) == context)


def is_given_up(values: Mapping[str, Any]) -> bool:
    """Whether a jail does without a profile that the host could give it."""
    return bool(values[_PROFILE_OPTION] == UNCONFINED) and apparmor.is_enabled()


def _compiled(text: str) -> bytes:
    """The binary form of a profile, compiled once and kept until the next boot."""
    path = os.path.join(layout.CACHE, f"apparmor-{hashlib.sha256(text.encode()).hexdigest()[:32]}")
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        pass
    try:
        program = apparmor_parser.compile_profile(text)
    except OSError as error:
        advice = f"{_PROFILE_OPTION}={UNCONFINED} does without, and says so"
        raise JailError(str(error.strerror), option=_PROFILE_OPTION, advice=advice) from error
    with files.locked("apparmor"):
        files.write_bytes(path, program)
    return program
