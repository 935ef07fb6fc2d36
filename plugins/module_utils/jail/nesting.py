# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many namespaces a jail may make: but for mount namespaces none, unless with ``children_max``.

A limit in the user namespace that a jail's processes are in would hold for each of its users apart. So where children
are allowed the jail lives in an inner user namespace (:mod:`inner`), and the limits stand in the one above, in which
all that is made below counts as one user's (:mod:`ucounts`).
"""

from __future__ import annotations

from ..kernel import ucounts
from . import policy
from .isolation.record import Isolation

_OWN = 2
"""How many of a kind a jail has at most itself, with those of :mod:`inner`."""

_ONLY_ITS_OWN = {"cgroup": 1}
"""A child gets no control groups of its own. With a namespace of them it could mount those of the host, in hierarchies
where its jail has none."""


def above(isolation: Isolation) -> dict[str, int]:
    """The limits of the user namespace that is made for the jail, by kind."""
    users = {"user": isolation.children_max + int(isolation.has_inner)}
    if not isolation.may_nest:
        return {"mnt": policy.MOUNT_NAMESPACES_MAX, **users}
    more = isolation.children_max * policy.NAMESPACES_PER_CHILD
    others = {**dict.fromkeys(ucounts.COUNTED, _OWN), "mnt": policy.MOUNT_NAMESPACES_MAX}
    return {**{kind: own + more for kind, own in others.items()}, **_ONLY_ITS_OWN, **users}


def inside(isolation: Isolation) -> dict[str, int]:
    """Those of the inner one, which its processes see."""
    return {"user": isolation.children_max}
