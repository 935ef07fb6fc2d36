# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The compiler of AppArmor's profiles, ``apparmor_parser`` (apparmor_parser(8))."""

from __future__ import annotations

import errno
import subprocess

_PARSER = "apparmor_parser"
_DIRECTORIES = "/usr/sbin:/sbin:/usr/local/sbin:/usr/bin"


def compile_profile(text: str) -> bytes:
    """The binary form of a profile, for this kernel.

    :raises OSError: ``ENOENT`` without the parser, ``EINVAL`` with what it says.
    """
    try:
        done = subprocess.run(
            [_PARSER, "--skip-kernel-load", "--skip-cache", "--stdout"],
            input=text.encode(),
            capture_output=True,
            check=False,
            env={"PATH": _DIRECTORIES, "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise OSError(errno.ENOENT, f"{_PARSER} is not here; on Debian it is in the package apparmor") from error
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().replace("\n", "; ")
        raise OSError(errno.EINVAL, f"{_PARSER}: {said or f'status {done.returncode}'}")
    return done.stdout
