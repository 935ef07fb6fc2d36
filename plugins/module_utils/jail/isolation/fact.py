# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What attestation is made of."""

from __future__ import annotations

from typing import Any, NamedTuple


class Fact(NamedTuple):
    """One thing that holds a jail.

    :param live: as the kernel has it; JSON-able, in words.
    :param expected: as the start settled it.
    :param holds: whether the jail has no more than was settled.
    """

    name: str
    live: Any
    expected: Any
    holds: bool
