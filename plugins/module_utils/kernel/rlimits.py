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
    for name, (soft, hard) in limits.items():
        number = NUMBERS[name]
        ceiling = resource.getrlimit(number)[1]
        if ceiling != resource.RLIM_INFINITY and (hard == resource.RLIM_INFINITY or hard > ceiling):
            hard = ceiling
        resource.setrlimit(number, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
