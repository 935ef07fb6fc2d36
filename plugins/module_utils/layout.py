# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things stand on the host: the one home of every path."""

from __future__ import annotations

import os

ETC = "/etc/jails"
"""Desired state: one directory for each jail, one file for each module."""

SECCOMP = "/etc/jails.d/seccomp"
"""Seccomp profiles that the administrator put there, to be chosen by name: ``NAME.json``."""

CEILING = "/etc/jails.d/ceiling.json"
"""What all jails may take together, where its administrator has a mind of his own about it."""

LIB = "/var/lib/jails"
TEMPLATES = f"{LIB}/templates"
"""Root file systems to clone: ``KEY/root`` and ``KEY/template.json``; a name that starts with a dot is half made."""
STORAGE = f"{LIB}/jails"
"""What jails write: ``NAME/``; a name that starts with a dot is half made or half removed."""
SNAPSHOTS = f"{LIB}/snapshots"
"""What jails wrote, as it was: ``NAME/LABEL/``; a label that starts with a dot is half made or half removed."""
IDS = f"{LIB}/ids.json"
HOST_STATE = f"{LIB}/host.json"
"""Host settings that we changed, with the values they had before."""

RUN = "/run/jails"
"""Live bookkeeping: ``NAME/``, gone after a reboot like the jails themselves."""
LOCKS = f"{RUN}/.locks"
CACHE = f"{RUN}/.cache"
BORROWED = f"{RUN}/.borrowed.json"
"""What jails have of the host's network until they give it back: devices, and settings with their values before."""

LOG = "/var/log/jails"
BUILD_LOG = f"{LOG}/build.log"
"""What the builders of templates print, as it comes."""

RUNTIME = "/usr/local/lib/jails"
COMMAND = "/usr/local/sbin/jail"

CGROUP_PARENT = "jails"
"""The cgroup, below each hierarchy's root, that holds all jails."""


def desired(name: str) -> str:
    """The directory of a jail's desired state."""
    return os.path.join(ETC, name)


def storage(name: str) -> str:
    """The directory of what a jail writes."""
    return os.path.join(STORAGE, name)


def snapshots(name: str) -> str:
    """The directory of a jail's snapshots."""
    return os.path.join(SNAPSHOTS, name)


def template(key: str) -> str:
    """The directory of a template."""
    return os.path.join(TEMPLATES, key)


def downloads(name: str) -> str:
    """The directory of what builders keep of their downloads; ``name`` says whose."""
    return os.path.join(LIB, "cache", name)


def running(name: str) -> str:
    """The directory of a running jail's bookkeeping."""
    return os.path.join(RUN, name)


def console(name: str) -> str:
    """The file that keeps what a jail's init has printed."""
    return os.path.join(LOG, f"{name}.log")


def console_place(name: str) -> str:
    """The directory on which the file is mounted that gets what the init of a running jail prints."""
    return os.path.join(RUN, f".console-{name}")


def live_console(name: str) -> str:
    """That file."""
    return os.path.join(console_place(name), "log")
