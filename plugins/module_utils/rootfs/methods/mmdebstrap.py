# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian by mmdebstrap(1), which takes apt to choose and fetch packages: the other tool of method ``debootstrap``.

mmdebstrap would configure packages in a chroot of the host. So it gets no further than its variant ``extract``: apt of
the host verifies the archive's signature and the packages' checksums, then tar of the host unpacks the essential ones,
and no program of them has run. What mmdebstrap does next happens confined: ``dpkg --install`` of what was unpacked,
which brings base-passwd's files in time, then apt of the tree, which knows the right order, with all the rest. Every
package lies in the tree by then.
"""

from __future__ import annotations

import os
import shlex

from ...kernel import paths
from .. import hosttools, intree, staging
from ..builder import Confine, Job
from ..buildlog import BuildLog
from ..recipes import Recipe

_ARCHIVES = "var/cache/apt/archives"
_ESSENTIAL = f"{_ARCHIVES}/essential"
_SETTINGS = "etc/apt/apt.conf.d/99mmdebstrap"  # where it leaves our --aptopt
_POLICY = "usr/sbin/policy-rc.d"
_NO_SERVICES = b"#!/bin/sh\nexit 101\n"  # invoke-rc.d(8): no action is allowed
# The directories that a merged /usr has links for; which of them an architecture needs is up to its packages.
_MERGED = ("bin", "sbin", "lib", "lib64")
# The package that says so, which older suites do not have; without it init-system-helpers would want to do the merging.
_MARK = "?exact-name(usr-is-merged)"
_PRIORITIES = {
    "minbase": "?priority(required)",
    "buildd": "?priority(required)",
    "standard": "?or(?priority(required),?priority(important))",
}
# Its tree is not empty; nothing is to be mounted in it; what apt fetched has to stay.
_LEFT_OUT = "check/empty,chroot/mount,chroot/policy-rc.d,chroot/start-stop-daemon,cleanup/apt,cleanup/reproducible"
_ALSO = {"buildd": ["build-essential"]}
# What the archive says for itself holds, whatever the host's own apt is told.
_STRICT = (
    'Acquire::AllowInsecureRepositories "false"',
    'Acquire::AllowWeakRepositories "false"',
    'APT::Get::AllowUnauthenticated "false"',
)
# Runs on the host with the settings of mmdebstrap's own calls of apt: apt plans as for an empty system, so it fetches
# whatever is not there yet. The essential packages are those that were fetched before.
_FETCH = f"""
set -e
cd "$1/{_ARCHIVES}"
ls *.deb >essential
APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get --yes --download-only install %s
"""
_ENVIRONMENT = ("/usr/bin/env", "DEBIAN_FRONTEND=noninteractive", "DEBCONF_NONINTERACTIVE_SEEN=true", "LC_ALL=C.UTF-8")
_FIRST = ("dpkg", "--force-depends", "--install")
_REST = ("apt-get", "--yes", "--no-download", "--no-install-recommends", "-oDpkg::Use-Pty=false", "install")


def install(recipe: Recipe, tree: str, root: int, mirror: str, confine: Confine, log: BuildLog) -> None:
    """Install the packages of a recipe into an empty tree.

    :param root: a descriptor of ``tree``.
    :raises JailError: with what apt or dpkg said.
    """
    program = hosttools.find("mmdebstrap", "mmdebstrap")
    _merge_usr(root)
    with staging.workspace(tree) as no_keys:
        status = hosttools.run(_extract(program, recipe, tree, mirror, no_keys), log.descriptor)
    if status:
        raise log.failure(f"mmdebstrap ended with status {status}")
    essential, packages = _fetched(root)
    intree.make_mount_points(root)
    paths.write_file(root, _POLICY, _NO_SERVICES, 0o755)
    for command in ([*_FIRST, *essential], [*_REST, *packages]):
        status = confine(tree, Job([*_ENVIRONMENT, *command], log.descriptor, log.descriptor))
        if status:
            raise log.failure(f"{command[0]} ended with status {status}")
    for path in (_POLICY, _SETTINGS):
        intree.remove(root, path)


def _merge_usr(root: int) -> None:
    intree.make_directory(root, "usr")
    for name in _MERGED:
        intree.make_directory(root, f"usr/{name}")
        os.symlink(f"usr/{name}", name, dir_fd=root)


def _extract(program: str, recipe: Recipe, tree: str, mirror: str, no_keys: str) -> list[str]:
    """The command of the host's part.

    :param no_keys: a directory with no keyring in it.
    """
    variant = recipe["variant"]
    more = [
        _pattern(recipe, _MARK),
        _pattern(recipe, _PRIORITIES[variant]),
        *_ALSO.get(variant, ()),
        *recipe["packages"],
        *(f"{name}-" for name in recipe["exclude"]),
    ]
    options = {
        "mode": "root",
        "variant": "extract",
        "format": "directory",
        "components": ",".join(recipe["components"]),
        "architectures": recipe["arch"],
        "skip": _LEFT_OUT,
        "extract-hook": _FETCH % " ".join(shlex.quote(word) for word in more),
    }
    given = [f"--{name}={value}" for name, value in options.items() if value]
    if recipe["keyring"]:
        # A file is trusted beside a directory of keyrings, the host's if no other is named; and where the suite should
        # have been signed by keys that are in neither, mmdebstrap would go and find them.
        given += [f"--keyring={recipe['keyring']}", f"--keyring={no_keys}", "--skip=check/signed-by"]
    strict = [f"--aptopt={setting}" for setting in _STRICT]
    # By "file:" apt would not put packages into the tree.
    essential = (_pattern(recipe, _MARK), _pattern(recipe, "?essential"), "apt")
    included = [f"--include={each}" for each in essential]
    return [program, *given, *included, *strict, recipe["suite"], tree, mirror.replace("file:", "copy:", 1)]


def _fetched(root: int) -> tuple[list[str], list[str]]:
    """The essential packages, and all: their files as seen from inside."""
    essential = paths.read_file(root, _ESSENTIAL).decode().split()
    with paths.opened(paths.open_in(root, _ARCHIVES, os.O_RDONLY | os.O_DIRECTORY)) as archives:
        packages = sorted(name for name in os.listdir(archives) if name.endswith(".deb"))
    return [f"/{_ARCHIVES}/{name}" for name in essential], [f"/{_ARCHIVES}/{name}" for name in packages]


def _pattern(recipe: Recipe, pattern: str) -> str:
    """An apt-patterns(7) that is limited to packages of the suite that are not to be left out."""
    suite = recipe["suite"]
    others = "".join(f",?not(?exact-name({name}))" for name in recipe["exclude"])
    return f"?narrow(?or(?archive(^{suite}$),?codename(^{suite}$)),?and({pattern}{others}))"
