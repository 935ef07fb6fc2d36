# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ioctl(2) with requests that have names, and errors that say them.

The numbers are put together as ``asm-generic/ioctl.h`` does, which x86_64 and aarch64 both use.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
from typing import Any, NamedTuple

READ, WRITE = 2, 1
"""What the kernel does to the argument: fill it, take it; both for ``READ | WRITE``."""


class Request(NamedTuple):
    """A request: how its header calls it, and its number."""

    name: str
    number: int


def request(name: str, direction: int, group: int, number: int, argument: Any) -> Request:
    """A request that takes an argument of this ctypes type: ``_IOR``, ``_IOW`` and ``_IOWR`` of the header."""
    return Request(name, direction << 30 | ctypes.sizeof(argument) << 16 | group << 8 | number)


def call(descriptor: int, wanted: Request, argument: Any = 0, target: str | None = None) -> int:
    """Do it. A ctypes structure is filled in place.

    :param target: what an error names, a path or a device.
    :raises OSError: with the request's name in its text.
    """
    try:
        return int(fcntl.ioctl(descriptor, wanted.number, argument))
    except OSError as error:
        text = f"{wanted.name}: {os.strerror(error.errno or 0)}"
        raise (OSError(error.errno, text, target) if target is not None else OSError(error.errno, text)) from None
