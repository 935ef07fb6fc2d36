# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of OpenPGP to sign repositories and packages with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .commands import succeed


class Key(NamedTuple):
    """A key to sign with: the home of gpg that has it, and the public part, in ASCII and as a keyring of gpgv(1)."""

    home: Path
    public: Path
    keyring: Path

    def sign(self, file: Path, target: Path, *how: str) -> None:
        """Sign a file.

        :param how: options of gpg(1), such as ``--detach-sign``.
        """
        gpg = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--yes", "--output", str(target)]
        succeed([*gpg, *how, str(file)])


@contextlib.contextmanager
def key(folder: Path, name: str) -> Iterator[Key]:
    """A new key, for a ``with`` block."""
    home = folder / f"gpg-{name}"
    home.mkdir(mode=0o700)
    made = Key(home, folder / f"{name}.asc", folder / f"{name}.gpg")
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
    try:
        succeed([*gpg, "--quick-generate-key", f"{name} <{name}@jails.example>", "rsa2048", "sign", "never"])
        succeed([*gpg, "--armor", "--output", str(made.public), "--export"])
        succeed([*gpg, "--output", str(made.keyring), "--export"])
        yield made
    finally:
        succeed(["gpgconf", "--homedir", str(home), "--kill", "all"])
