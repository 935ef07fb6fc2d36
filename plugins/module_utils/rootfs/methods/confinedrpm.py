# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rpm(8) and rpmkeys(8) of the host, run confined on a tree that need not have an rpm of its own.

Paths are as seen from inside. rpm reads the configuration that the host's package rpm came with, and neither the
host's changes to it nor a file of the tree.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from ...kernel import paths
from .. import hosttools, toolbox
from ..builder import Confine, Job
from ..buildlog import BuildLog
from ..toolbox import Toolbox

_PROGRAMS = {"rpm": "rpm", "rpmkeys": "rpm"}
_CONFIGURATION = ("macros", "rpmrc")
_OPTIONS = ("--rcfile", f"{toolbox.PLACE}/rpmrc", "--macros", f"{toolbox.PLACE}/macros")
# A digest that fits is not enough, a signature is needed as well (macros of rpm 4.14.2 and later).
_STRICT = ("--define", "_pkgverify_level all", "--define", "_pkgverify_flags 0x0")
_FORMAT = ("--define", "_db_backend sqlite", "--define", "_rpmlock_path %{_dbpath}/.rpm.lock")
# Where the database is: the first of these that a package of the system has, or else the last.
_DATABASES = ("/usr/lib/sysimage/rpm", "/var/lib/rpm")
_NAMES_LIMIT = 1 << 28


class Rpm(NamedTuple):
    """On which tree, how, and where its words go."""

    tree: str
    confine: Confine
    log: BuildLog

    def check(self, database: str, keys: Sequence[str], packages: Sequence[str]) -> None:
        """Check that each package is whole and signed by one of these keys.

        :param database: a directory for the keys, of which nothing may be there yet.
        :raises JailError: naming the package that is not, or the key that is none.
        """
        self._import(database, keys)
        self._run("rpmkeys", database, [*_STRICT, "--checksig", *packages], "a package is not signed as it must be")

    def install(self, keys: Sequence[str], packages: Sequence[str]) -> None:
        """Install the packages, in the order that their dependencies ask for, and make the keys known to the system.

        :raises JailError: with what rpm or a scriptlet said.
        """
        database = self._database(packages)
        self._import(database, keys)
        self._run("rpm", database, [*_STRICT, "--install", "-v", *packages], "the packages cannot be installed")

    def _import(self, database: str, keys: Sequence[str]) -> None:
        self._run("rpmkeys", database, ["--import", *keys], "the keys cannot be used")

    def _database(self, packages: Sequence[str]) -> str:
        with paths.opened(os.memfd_create("names")) as names:
            arguments = ["--query", "--nosignature", "--queryformat", "[%{FILENAMES}\n]", "--package", *packages]
            self._run("rpm", _DATABASES[-1], arguments, "the packages cannot be read", names)
            found = set(os.pread(names, _NAMES_LIMIT, 0).decode(errors="replace").splitlines())
        return next((place for place in _DATABASES if place in found), _DATABASES[-1])

    def _run(
        self, program: str, database: str, arguments: Sequence[str], failure: str, output: int | None = None
    ) -> None:
        said = self.log.descriptor
        command = toolbox.command(program, *_OPTIONS, *_FORMAT, "--dbpath", database, *arguments)
        status = self.confine(self.tree, Job(command, said if output is None else output, said, None, _toolbox()))
        if status:
            raise self.log.failure(f"{failure}: {program} ended with status {status}")


def _toolbox() -> Toolbox:
    _status, place = hosttools.output_of([hosttools.find("rpm", "rpm"), "--eval", "%{_rpmconfigdir}"])
    found = {}
    for name in _CONFIGURATION:
        with open(os.path.join(place.strip(), name), "rb") as file:
            found[name] = file.read()
    return Toolbox(_PROGRAMS, found)
