# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Method ``dnf``: Fedora and its kin.

dnf(8) of the host chooses the packages and fetches them, and goes no further. It has no right of root, for most
repositories have an index that nobody has signed; it knows nothing but the repositories of the recipe, and what it
takes for the system is an empty directory. All else happens confined, by rpm(8) of the host from a toolbox: the check
that each package is signed by one of the given keys, the unpacking, and all scriptlets, those in rpm's own Lua too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from ...errors import JailError
from ...kernel import paths
from .. import hosttools, intree, staging
from ..builder import Confine
from ..buildlog import BuildLog
from ..recipes import Recipe
from . import lowly, rpmrepos
from .confinedrpm import Rpm
from .rpmrepos import Source

_SUPPLIES = ".cellblock-packages"
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~^-]*\.rpm")
_KEYS = "etc/pki/rpm-gpg"
_REPOSITORIES = "etc/yum.repos.d"
_PASSING = ("var/cache/dnf", "var/cache/libdnf5", "tmp", "var/tmp")
# Nothing of the host's own configuration holds (dnf.conf(5)); the last four are below --installroot.
_MAIN = f"""[main]
reposdir={lowly.PLACE}/none
varsdir={lowly.PLACE}/none
plugins=0
gpgcheck=1
localpkg_gpgcheck=1
install_weak_deps=0
deltarpm=0
best=1
keepcache=1
skip_if_unavailable=0
cachedir=/cache
system_cachedir=/cache
persistdir=/state
logdir=/log
"""


def build(recipe: Recipe, tree: str, confine: Confine, log: BuildLog) -> None:
    """Build a system of rpm packages; see :data:`..builder.Builder`."""
    program = hosttools.find("dnf", "dnf")
    hosttools.find("rpm", "rpm")  # before anything is downloaded
    sources = rpmrepos.sources(recipe)
    names = rpmrepos.key_names(sources)
    keys = {name: rpmrepos.read_key(path) for path, name in names.items()}
    rpm = Rpm(tree, confine, log)
    with paths.opened(paths.open_directory(tree)) as root:
        intree.make_directory(root, _SUPPLIES, 0o700)
        with staging.workspace(tree) as work:
            _configure_dnf(recipe, sources, names, keys, work, log)
            _download(program, recipe, work, log)
            packages = _take_over(root, work)
        for name, content in keys.items():
            paths.write_file(root, f"{_SUPPLIES}/{name}", content)
        given = [f"/{_SUPPLIES}/{name}" for name in keys]
        rpm.check(f"/{_SUPPLIES}/checking", given, packages)
        rpm.install(given, packages)
        intree.remove(root, _SUPPLIES)
        _configure(root, sources, names, keys)
        for path in _PASSING:
            intree.empty(root, path)
        intree.make_mount_points(root)
        intree.forget_identity(root)


def _configure_dnf(
    recipe: Recipe,
    sources: Sequence[Source],
    names: Mapping[str, str],
    keys: Mapping[str, bytes],
    work: str,
    log: BuildLog,
) -> None:
    """Write into ``work`` what dnf is to know: its configuration, and the keys that this names."""
    for name in ("keys", "none", "packages", "root"):
        os.mkdir(os.path.join(work, name))
    for name, content in keys.items():
        with open(os.path.join(work, "keys", name), "wb") as file:
            file.write(content)
    sections = [_MAIN]
    for source in sources:
        urls = [f"file://{lowly.PLACE}/keys/{names[path]}" for path in source.keys]
        sections.append(rpmrepos.section(source, urls, rpmrepos.has_signed_index(source, recipe, log.note)))
    with open(os.path.join(work, "dnf.conf"), "w", encoding="utf-8") as text:
        text.write("\n".join(sections))


def _download(program: str, recipe: Recipe, work: str, log: BuildLog) -> None:
    """Have dnf put the packages of the recipe, and all that they need, into ``work/packages``."""
    command = [
        *(program, f"--config={lowly.PLACE}/dnf.conf", f"--installroot={lowly.PLACE}/root"),
        *(f"--releasever={recipe['release']}", *([f"--forcearch={recipe['arch']}"] if recipe["arch"] else [])),
        *("--assumeyes", "--downloadonly", f"--destdir={lowly.PLACE}/packages", "install", *recipe["packages"]),
    ]
    status = lowly.run(command, work, log.descriptor)
    if status:
        raise log.failure(f"dnf ended with status {status}")


def _take_over(root: int, work: str) -> list[str]:
    """Copy the packages into the tree; where they are there, as seen from inside.

    Nothing of it is trusted: their names come from an index that may be signed by nobody, and dnf has read that.
    """
    with paths.opened(paths.open_directory(work)) as place:
        with paths.opened(paths.open_plain(place, "packages", os.O_RDONLY | os.O_DIRECTORY)) as folder:
            names = sorted(os.listdir(folder))
        for name in names:
            if not _PACKAGE.fullmatch(name):
                raise JailError(f"a repository offers a package file of the name {name!r}", "repositories")
            source = paths.open_plain(place, f"packages/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
            with paths.opened(source):
                intree.copy_in(root, source, f"{_SUPPLIES}/{name}")
    if not names:
        raise JailError("dnf has fetched no package", "packages")
    return [f"/{_SUPPLIES}/{name}" for name in names]


def _configure(root: int, sources: Sequence[Source], names: Mapping[str, str], keys: Mapping[str, bytes]) -> None:
    """Let the system know the repositories and keys that it came from."""
    for path in (*_parents(_KEYS), *_parents(_REPOSITORIES)):
        intree.make_directory(root, path)
    for name, content in keys.items():
        paths.write_file(root, f"{_KEYS}/{name}", content)
    for source in sources:
        text = rpmrepos.section(source, [f"file:///{_KEYS}/{names[path]}" for path in source.keys])
        if source.url.startswith("file:"):
            text = "# The jail was built from a directory of its host. Name a URL that the jail can reach.\n" + text
        paths.write_file(root, f"{_REPOSITORIES}/{source.name}.repo", text.encode())


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]
