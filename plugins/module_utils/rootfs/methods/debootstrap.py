# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Method ``debootstrap``: Debian and its kin, by debootstrap(8) in its two stages, or by :mod:`.mmdebstrap`.

The first stage runs on the host: it downloads packages, verifies them against a keyring and unpacks them. It runs
nothing of what it unpacks. The second configures them, which does: maintainer scripts as root. It runs confined like
a jail, and from there on the tree is not trusted.

What the second stage needs of its confinement: ``/dev`` with null, zero, full, random, urandom, tty and fd; ``/proc``;
a loopback interface that is up (postfix looks for one); chown to any id below 65536, setuid, setgid, file
capabilities, chroot. It needs no other network, no mount and no mknod.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re

from ...errors import JailError
from ...kernel import paths
from .. import hosttools, intree
from ..builder import Confine, Job
from ..buildlog import BuildLog
from ..fetching import caches
from ..recipes import Recipe
from . import hostapt, mmdebstrap

_SCRIPTS = "/usr/share/debootstrap/scripts"
_KEYRING = re.compile(r"^\s*keyring\s", re.MULTILINE)
# debootstrap asks what it runs in (detect_container() in its "functions"). In "lxc" it can do without mknod and
# mount, which a confined second stage has not got, and with a tree on a nodev file system; its other guesses go by
# the host's files.
_ENVIRONMENT = ("/usr/bin/env", "container=lxc")
_SECOND_STAGE = [*_ENVIRONMENT, "/debootstrap/debootstrap", "--second-stage"]
_CACHE = "debootstrap"
_LOG = "debootstrap/debootstrap.log"
_LOG_LIMIT = 8 << 20
_LOG_TAIL = 60
_DPKG_SUMMARY = "Errors were encountered while processing:"
_DOWNLOADED = re.compile(r"\S+ \S+ URL:.* -> ")  # a line of wget that reports success


def build(recipe: Recipe, tree: str, confine: Confine, log: BuildLog) -> None:
    """Build a Debian system with the tool of the recipe; see :data:`..builder.Builder`."""
    install = mmdebstrap.install if recipe.get("tool") == "mmdebstrap" else _install
    mirror = recipe["mirror"] or hostapt.mirror()
    with paths.opened(paths.open_directory(tree)) as root:
        install(recipe, tree, root, mirror, confine, log)
        _clean(root)
        paths.write_file(root, "etc/apt/sources.list", _sources(recipe, mirror).encode())


def _install(recipe: Recipe, tree: str, root: int, mirror: str, confine: Confine, log: BuildLog) -> None:
    """By debootstrap; the counterpart of :func:`.mmdebstrap.install`."""
    program = hosttools.find("debootstrap", "debootstrap")
    _check_suite(recipe["suite"], recipe["keyring"])
    status = _first_stage(program, recipe, tree, mirror, log)
    if status:
        raise _failure("first", status, root, log)
    intree.make_mount_points(root)
    status = confine(tree, Job(_SECOND_STAGE, log.descriptor, log.descriptor))
    if status:
        raise _failure("second", status, root, log)


def _check_suite(suite: str, keyring: str | None) -> None:
    known = [name for name in os.listdir(_SCRIPTS) if not name.endswith("-common")]
    if suite not in known:
        near = difflib.get_close_matches(suite, known, n=5) or ["none"]
        what = f"the host's debootstrap does not know {suite}; similar names that it does know: {', '.join(near)}"
        raise JailError(what, "suite", "a newer package debootstrap knows newer suites")
    with open(os.path.join(_SCRIPTS, suite), encoding="utf-8") as script:
        if keyring is None and not _KEYRING.search(script.read()):
            # debootstrap would go on without verifying anything, even when told to force it
            what = f"debootstrap names no keyring for {suite}"
            raise JailError(what, "keyring", "give the one that its archive is signed with")


def _first_stage(program: str, recipe: Recipe, tree: str, mirror: str, log: BuildLog) -> int:
    options = {
        "variant": "" if recipe["variant"] == "standard" else recipe["variant"],
        "components": ",".join(recipe["components"]),
        "include": ",".join(recipe["packages"]),
        "exclude": ",".join(recipe["exclude"]),
        "keyring": recipe["keyring"],
        "arch": recipe["arch"],
        "cache-dir": caches.folder(_CACHE),
    }
    given = [f"--{name}={value}" for name, value in options.items() if value]
    command = [*_ENVIRONMENT, program, "--foreign", "--force-check-gpg", *given, recipe["suite"], tree, mirror]
    # Two debootstraps that download the same file into one cache remove it under each other's hands; the second finds
    # most of its packages there anyway.
    with caches.locked(_CACHE):
        return hosttools.run(command, log.descriptor)


def _failure(stage: str, status: int, root: int, log: BuildLog) -> Exception:
    """The error for a stage that failed. What its programs printed is in the tree, which is about to go."""
    with contextlib.suppress(OSError):
        # What dpkg prints from there on only lists the packages again; the reason stands before it.
        text = paths.read_file(root, _LOG, _LOG_LIMIT).decode(errors="replace").rpartition(_DPKG_SUMMARY)
        lines = [line for line in (text[0] or text[2]).splitlines() if not _DOWNLOADED.match(line)]
        log.note("\n".join(lines[-_LOG_TAIL:]))
    return log.failure(f"the {stage} stage of debootstrap ended with status {status}")


def _clean(root: int) -> None:
    for path in ("debootstrap", "var/cache/apt/pkgcache.bin", "var/cache/apt/srcpkgcache.bin"):
        intree.remove(root, path)
    for path in ("var/cache/apt/archives", "var/lib/apt/lists", "tmp"):
        intree.empty(root, path)
    intree.make_mount_points(root)
    intree.forget_identity(root)


def _sources(recipe: Recipe, mirror: str) -> str:
    """The ``sources.list``: the mirror, and where it is the host's own, what the host uses for updates and security."""
    suite, components = recipe["suite"], recipe["components"]
    if mirror.startswith("file:"):
        return "# The jail was built from a directory of its host. Name a mirror that the jail can reach:\n"
    lines = [f"deb {mirror} {suite} {' '.join(components)}"]
    if recipe["mirror"] is None:
        lines += hostapt.pockets(suite, components)
    return "\n".join(lines) + "\n"
