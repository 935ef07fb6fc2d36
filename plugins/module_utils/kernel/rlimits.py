# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resource limits of a process (getrlimit(2))."""

from __future__ import annotations

import resource
from collections.abc import Mapping

NUMBERS = {
    name[len("RLIMIT_") :].lower(): getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")
}


def set_own(limits: Mapping[str, tuple[int, int]]) -> None:
    """Set (soft, hard) by lower-case name; a hard limit above the present one is taken down to it.

    Raising a hard limit needs CAP_SYS_RESOURCE in the initial user namespace, which not every host's root has.
    """
    for name, (soft, wanted) in limits.items():
        number = NUMBERS[name]
        hard = _lower(wanted, resource.getrlimit(number)[1])
        resource.setrlimit(number, (_lower(soft, hard), hard))


def _lower(one: int, other: int) -> int:
    """The lower of two limits; infinity is -1."""
    finite = [limit for limit in (one, other) if limit != resource.RLIM_INFINITY]
    return min(finite, default=resource.RLIM_INFINITY)
