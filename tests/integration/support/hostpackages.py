# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of the host's mirror, for jails that have no network."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

_BOOKWORM = "VERSION_CODENAME=bookworm"


def download(packages: Sequence[str], folder: Path) -> None:
    """Put these packages of bookworm, and nothing that they depend on, into a folder; the network must be one with a
    mirror. Skips the test where the host has another release, whose apt would get others."""
    if _BOOKWORM not in Path("/etc/os-release").read_text().splitlines():
        pytest.skip("the packages are got by the host's apt, and the host is no Debian bookworm")
    folder.mkdir(exist_ok=True)
    os.chmod(folder, 0o755)
    # apt as it is would read as a user of its own, who cannot write here.
    command = ["apt-get", "download", "-o", "APT::Sandbox::User=root", *packages]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def show(folder: Path, target: str) -> dict[str, object]:
    """The folder as a volume, for the option ``mounts``."""
    return {"source": str(folder), "target": target, "read_only": True}
