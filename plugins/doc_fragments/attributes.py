# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What all modules of this collection have in common."""

    DOCUMENTATION = r"""
options: {}
requirements:
  - Linux 5.19 or newer on the host, and root there
  - Python 3.9 or newer on the host
attributes:
  check_mode:
    support: full
    description: Reports exactly what a real run would do, and does nothing.
  diff_mode:
    support: full
    description: Shows each option before and after, in the words of the option.
  platform:
    support: full
    platforms: linux
    description: Where the module can run.
"""

    IDEMPOTENT = r"""
options: {}
attributes:
  idempotent:
    support: full
    description: A second run with the same options changes nothing.
"""
