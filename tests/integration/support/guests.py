# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jails that Ansible can work in, made in a second: the host's programs, seen and not copied, and an ``/etc`` of their
own."""

from __future__ import annotations

import os

from .boxes import SKELETON
from .calls import module, shell

_SEEN = ("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", "/usr/share")
_PAM = "auth sufficient pam_rootok.so\naccount required pam_permit.so\nsession required pam_permit.so\n"


def make_guests(names: list[str]) -> None:
    """Make and start them."""
    module("jail_rootfs", jails=[{"name": each, **SKELETON} for each in names])
    mounts = [{"target": place, "source": place} for place in _SEEN if os.path.isdir(place)]
    module("jail_state", name=names, command=["sleep", "100000"], mounts=mounts, state="started")
    for each in names:
        shell(each, f"mkdir -p /etc/pam.d && printf '{_PAM}' | tee /etc/pam.d/su /etc/pam.d/other >/dev/null")
