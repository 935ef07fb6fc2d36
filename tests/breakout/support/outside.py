# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where attacks run as controls: as root of the host in a plain chroot, with all capabilities and no filter, and with
mounts that nobody else sees."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .attacks import Attack
from .table import Record

SECONDS = 60

_ENTER = """
for part in proc sys dev; do mount --rbind /$part "$0/$part" || exit 99; done
exec chroot "$0" "$@"
"""


class Chroot:
    """A directory with a program in it, and /proc, /sys and /dev of the host."""

    def __init__(self, root: Path, program: str) -> None:
        self.root = root
        for folder in ("proc", "sys", "dev", "tmp"):
            (root / folder).mkdir()
        self.program = program
        (root / program.lstrip("/")).parent.mkdir(parents=True)
        shutil.copy(program, root / program.lstrip("/"))

    def run(self, *words: str, wrapper: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run the program there."""
        command = ["unshare", "--mount", *wrapper, "--", "sh", "-c", _ENTER, str(self.root), self.program, *words]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=SECONDS, env=dict(os.environ)
        )

    def says(self, *words: str) -> str:
        """What the attack says there."""
        done = self.run(*words)
        assert done.returncode == 0, done
        return done.stdout.strip()

    def expect_through(self, attack: Attack, record_property: Record) -> None:
        """Fail unless an attack goes through there, but for one on what this kernel does not have, which is noted."""
        said = self.says(*attack.words).splitlines()[-1]
        if said in attack.lacking:
            record_property("control", f"{attack.name}: {said} outside, too")
        else:
            assert said == "ok"
