# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last steps before an exec in a jail, the same for its init and for every process that enters later.

Privileges are given up in an order in which each step still has what it needs: labels, resource limits, bounding set
(CAP_SETPCAP), seccomp (CAP_SYS_ADMIN in the own user namespace, as no_new_privs is a choice of the jail's), then all
other capabilities.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..kernel import apparmor, attributes, capabilities, process, rlimits, seccomp, selinux
from .isolation import programs
from .isolation.record import APPARMOR, SELINUX, Isolation
from .resources import Resources


class Confinement(NamedTuple):
    """Everything that the last steps need, read and compiled while the host's files can still be seen."""

    rlimits: Mapping[str, Sequence[int]]
    capability_mask: int
    last_capability: int
    programs: Sequence[bytes]
    personality: int
    no_new_privs: bool
    labels: Mapping[str, str]


def prepare(isolation: Isolation, resources: Resources) -> Confinement:
    """Read what :func:`apply` needs; on the host, before any namespace is left."""
    return Confinement(
        resources.rlimits,
        capabilities.to_mask(isolation.capabilities),
        capabilities.last_capability(),
        [programs.read(name) for name in isolation.programs],
        process.PERSONALITIES[isolation.personality],
        isolation.no_new_privs,
        isolation.labels,
    )


def become_root() -> None:
    """Be user and group 0 of the user namespace that we are in, with no other group."""
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def apply(confinement: Confinement) -> None:
    """Give up for good what a jail must not have. After this only an exec makes sense."""
    process.reset_signals()
    os.umask(0o022)
    rlimits.set_own(confinement.rlimits)
    _label(confinement.labels)
    process.set_personality(confinement.personality)
    if confinement.no_new_privs:
        process.forbid_new_privileges()
    capabilities.limit_bounding_set(confinement.capability_mask, confinement.last_capability)
    for program in confinement.programs:
        seccomp.load(program)
    capabilities.set_all(confinement.capability_mask)


def _label(labels: Mapping[str, str]) -> None:
    """Have the exec give us these labels."""
    if APPARMOR in labels:
        attributes.write_own(apparmor.EXEC_FILE, apparmor.exec_words(labels[APPARMOR]))
    if SELINUX in labels:
        attributes.write_own(selinux.EXEC_FILE, labels[SELINUX])


def execute(argv: Sequence[str], environment: dict[str, str]) -> OSError:
    """Exec ``argv`` by the jail's PATH. Comes back only with the error."""
    error = OSError(2, "no such program", argv[0])
    folders = [""] if "/" in argv[0] else environment["PATH"].split(":")
    for folder in folders:
        try:
            os.execve(os.path.join(folder, argv[0]), list(argv), environment)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as refused:
            error = refused
    return error


def forget_caller() -> None:
    """Let go of what a caller hands on that is neither file nor privilege: keys, priority, a protection from the OOM
    killer (sshd's children have it)."""
    process.forget_keys()
    process.be_ordinary()
    # Where we may not change it, the score is the host administrator's wish.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "r+b", 0) as file:
        if int(file.read()) < 0:
            file.write(b"0")
