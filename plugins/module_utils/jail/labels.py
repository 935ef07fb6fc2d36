# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels of snapshots."""

from __future__ import annotations

import re

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def parse_label(value: str) -> str:
    """A label: it becomes the name of a directory.

    :raises ValueError: when it is anything else.
    """
    if not _LABEL.fullmatch(value):
        raise ValueError(
            f"{value!r} cannot name a snapshot: use 1 to 64 of the characters a-z, A-Z, 0-9, '_', '.' and '-', "
            "with a letter or digit at the beginning"
        )
    return value
