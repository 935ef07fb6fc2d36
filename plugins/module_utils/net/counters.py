# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has passed through the devices of a network namespace: ``/proc/PID/net/dev`` (proc_pid_net(5)).

The host's own file, which costs nothing but to read it: no socket, no library, and no device of anybody else is looked
at.
"""

from __future__ import annotations

import os

from ..kernel import paths

FILE = "net/dev"
"""Below ``/proc/PID``."""

_WAYS = ("received", "sent")
_COUNTED = ("bytes", "packets", "errors", "dropped")
_COLUMNS = 8
"""Of each way; those after the counted ones are of hardware, or among the errors already."""

Counters = dict[str, dict[str, int]]
"""Numbers by what is counted, such as ``received_bytes`` and ``sent_dropped``, by device."""


def read(descriptor: int) -> Counters:
    """The counters in the file of which this is a descriptor, which is closed."""
    with paths.opened(descriptor):
        chunks = []
        while chunk := os.read(descriptor, 1 << 16):
            chunks.append(chunk)
    return parse(b"".join(chunks).decode(errors="replace"))


def parse(text: str) -> Counters:
    """The counters in the text of such a file.

    :raises ValueError: when it is none.
    """
    return dict(_device(line) for line in text.split("\n")[2:] if line)


def _device(line: str) -> tuple[str, dict[str, int]]:
    # A name has neither colons nor blanks (the kernel's dev_valid_name()), but it may be of any other bytes.
    name, _colon, rest = line.rpartition(":")
    numbers = [int(word) for word in rest.split()]
    if len(numbers) != len(_WAYS) * _COLUMNS:
        raise ValueError(f"{line!r} is not a line of counters")
    return name.strip(" "), {
        f"{way}_{what}": numbers[at * _COLUMNS + column]
        for at, way in enumerate(_WAYS)
        for column, what in enumerate(_COUNTED)
    }
