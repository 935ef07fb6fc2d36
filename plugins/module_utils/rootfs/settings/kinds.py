# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings that are values in a tree and nothing else, by the name of their option."""

from __future__ import annotations

from collections.abc import Mapping

from . import authorized_keys, fstab, hosts, language, machine_id, package_sources, timezone
from .setting import Setting

SETTINGS: Mapping[str, Setting] = {
    "authorized_keys": authorized_keys.SETTING,
    "fstab": fstab.SETTING,
    "hosts": hosts.SETTING,
    "locale": language.SETTING,
    "machine_id": machine_id.SETTING,
    "package_sources": package_sources.SETTING,
    "timezone": timezone.SETTING,
}
