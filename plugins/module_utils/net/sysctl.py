# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel parameters below ``/proc/sys/net`` (the kernel's networking/ip-sysctl).

They belong to the network namespace of the thread that opens the file. Names are paths (``net/ipv4/ip_forward``), as
the name of a device may hold dots.
"""

from __future__ import annotations

import contextlib
import os

PLACE = "/proc/sys"
IPV6_DEVICES = f"{PLACE}/net/ipv6/conf"


def read(name: str) -> str | None:
    """A parameter's value; ``None`` when this kernel has none of that name (IPv6 is off, the device is gone)."""
    try:
        with open(f"{PLACE}/{name}", encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        return None


def write(name: str, value: str) -> None:
    """Set a parameter.

    :raises OSError: ``FileNotFoundError`` when there is none of that name.
    """
    path = f"{PLACE}/{name}"
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, value.encode("ascii"))
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error  # that of a write names no file
    finally:
        os.close(file)


def write_where_present(name: str, value: str) -> None:
    """Set a parameter, unless this kernel has none of that name."""
    with contextlib.suppress(FileNotFoundError):
        write(name, value)
