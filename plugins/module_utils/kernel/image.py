# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that this process was executed from, and those who may reach it by ``/proc/PID/exe`` (proc_pid_exe(5)).

The link leads to the file itself, by the mount through which it was executed, whatever root directory the reader has.
A program that goes into a guest whose root may write host files therefore has to be executed through a mount that
nobody can write by (CVE-2019-5736).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NoReturn

from . import mounts, paths

_SELF = "/proc/self/exe"


def is_read_only() -> bool:
    """Whether our file was executed through a read-only mount."""
    return bool(os.statvfs(_SELF).f_flag & os.ST_RDONLY)


def execute_read_only(argv: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Execute our own file again, through a read-only mount that hangs nowhere."""
    with paths.opened(os.open(_SELF, os.O_PATH | os.O_CLOEXEC)) as file:
        mount = mounts.clone(file)
    mounts.set_attributes(mount, mounts.RDONLY)
    os.execve(mount, list(argv), dict(environment))
    raise AssertionError("an exec came back")  # it raises when it fails
