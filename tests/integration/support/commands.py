# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that a test needs to have done their work."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence


def succeed(command: Sequence[str]) -> str:
    """Run a program, which has to end with 0; what it printed."""
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout
