# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Method ``apk``: Alpine Linux.

On the host the index of each repository is fetched and the signature of a trusted key checked. From what the indexes
say, ``apk.static`` is fetched and checked as well, and it does all else in confinement and without network. First, on
nothing but the indexes, it says which packages are needed. They are fetched on the host, each as its index means it,
and laid beside the indexes. Then it installs them and runs their scripts; it checks the same things itself once more.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from ...errors import JailError
from ...kernel import paths
from .. import hosttools, intree, libraries, staging, toolbox
from ..builder import Confine, Job
from ..buildlog import BuildLog
from ..recipes import Recipe
from ..toolbox import Toolbox
from . import apkkeys, apkrepos, hostapk
from .apkfiles import Entry, Split
from .apkkeys import Keys
from .apkrepos import Check, Repository

_BASE = "alpine-base"
_PROGRAM = "apk"
_SUPPLIES = ".cellblock-packages"
_LIST = "repositories"
_KEYS = "keys"
_SAID_MAX = 16 << 20
# As apk 2 and 3 print it; 3 fills the number up with blanks.
_WANTED = re.compile(r"\( *[0-9]+/[0-9]+\) Installing (\S+) \((\S+)\)")


_Program = tuple[Sequence[str], Toolbox]
"""An apk: its command inside, and a toolbox that has it."""


class _Apk(NamedTuple):
    """How apk is run on the tree."""

    command: Sequence[str]
    box: Toolbox
    tree: str
    confine: Confine
    log: BuildLog

    def add(self, *arguments: str, output: int | None = None) -> None:
        """Run ``apk add``.

        :raises JailError: with what it said, when it failed.
        """
        said = self.log.descriptor
        command = [*self.command, "add", *arguments]
        job = Job(command, said if output is None else output, said, None, self.box)
        status = self.confine(self.tree, job)
        if status:
            raise self.log.failure(f"apk ended with status {status}")


def build(recipe: Recipe, tree: str, confine: Confine, log: BuildLog) -> None:
    """Build an Alpine system; see :data:`..builder.Builder`."""
    arch = hostapk.architecture(recipe)
    keys = apkkeys.trusted(recipe["keys"], arch)
    urls = hostapk.urls(recipe)
    with paths.opened(paths.open_directory(tree)) as root:
        with staging.workspace(tree) as work:
            check = _checks(recipe, keys, work, log)
            repositories = [apkrepos.fetch(url, arch, check, log.note) for url in urls]
            program = (
                _given(recipe["apk"])
                if recipe["apk"]
                else _static(apkrepos.fetch_static(repositories, check, tree, log.note))
            )
        _lay_in(root, repositories, arch)
        # What is signed by a key of this name that is another one would be refused by apk: it gets none.
        apk = _apk(program, recipe, arch, {} if recipe["allow_untrusted"] else keys, tree, confine, log)
        packages = [_BASE, *recipe["packages"]]
        for number, entry in _wanted(apk, packages, repositories):
            path = apkrepos.fetch_package(repositories[number], entry, tree, log.note)
            intree.make_directory(root, f"{_SUPPLIES}/{number}/{entry.arch}")
            with open(path, "rb") as file:
                intree.copy_in(root, file.fileno(), f"{_SUPPLIES}/{number}/{entry.arch}/{entry.file}")
        apk.add("--initdb", *packages)
        intree.remove(root, _SUPPLIES)
        _configure(root, urls, keys if recipe["keys"] else {})
        for folder in ("var/cache/apk", "tmp"):
            intree.empty(root, folder)
        intree.make_mount_points(root)
        intree.forget_identity(root)


def _checks(recipe: Recipe, keys: Keys, work: str, log: BuildLog) -> Check:
    """What lets an index pass, and the program that is taken from one."""

    def let_pass(what: str, _beginning: Split) -> None:
        log.note(f"W: allow_untrusted: nobody checks who has signed {what}")

    if recipe["allow_untrusted"]:
        return let_pass
    program = hosttools.find("openssl", "openssl")

    def check(what: str, beginning: Split) -> None:
        apkkeys.check(program, what, beginning.signed, beginning.signatures, keys, work)

    return check


def _given(path: str) -> _Program:
    """The apk that the user named."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise JailError(f"{path} cannot be read: {error.strerror}", "apk") from error
    if libraries.interpreter(content) is None:
        return _static(content)
    return toolbox.command(_PROGRAM), Toolbox({}, {}, {_PROGRAM: path})


def _static(content: bytes) -> _Program:
    """An apk that needs no libraries."""
    return [f"{toolbox.PLACE}/{_PROGRAM}"], Toolbox({}, {_PROGRAM: content})


def _lay_in(root: int, repositories: Sequence[Repository], arch: str) -> None:
    """Put the indexes into the tree, and the list of them that apk reads."""
    intree.make_directory(root, _SUPPLIES, 0o700)
    for number, repository in enumerate(repositories):
        intree.make_directory(root, f"{_SUPPLIES}/{number}")
        intree.make_directory(root, f"{_SUPPLIES}/{number}/{arch}")
        paths.write_file(root, f"{_SUPPLIES}/{number}/{arch}/{apkrepos.INDEX}", repository.file)
    lines = [f"/{_SUPPLIES}/{number}\n" for number in range(len(repositories))]
    paths.write_file(root, f"{_SUPPLIES}/{_LIST}", "".join(lines).encode())


def _apk(
    program: _Program,
    recipe: Recipe,
    arch: str,
    keys: Keys,
    tree: str,
    confine: Confine,
    log: BuildLog,
) -> _Apk:
    command, box = program
    options = [
        *("--root", "/", "--arch", arch, "--keys-dir", f"{toolbox.PLACE}/{_KEYS}"),
        *("--repositories-file", f"/{_SUPPLIES}/{_LIST}", "--no-network", "--no-cache", "--no-progress"),
        *(["--allow-untrusted"] if recipe["allow_untrusted"] else []),
    ]
    files = {**box.files, **{f"{_KEYS}/{name}": content for name, content in keys.items()}}
    return _Apk([*command, *options], box._replace(files=files), tree, confine, log)


def _wanted(apk: _Apk, packages: Sequence[str], repositories: Sequence[Repository]) -> list[tuple[int, Entry]]:
    """What apk would install: of each package the number of its repository, and what the index there says."""
    apk.add("--initdb")  # a simulation needs a database
    with paths.opened(os.memfd_create("said")) as said:
        apk.add("--simulate", *packages, output=said)
        lines = os.pread(said, _SAID_MAX, 0).decode(errors="replace").splitlines()
    found = []
    for line in lines:
        match = _WANTED.match(line)
        if match:
            found.append(_look_up((match[1], match[2]), repositories))
    if not found:
        raise JailError(f"apk names no packages: {' | '.join(lines[-3:])}", "packages")
    return found


def _look_up(package: tuple[str, str], repositories: Sequence[Repository]) -> tuple[int, Entry]:
    for number, repository in enumerate(repositories):
        if package in repository.packages:
            return number, repository.packages[package]
    raise JailError(f"apk asks for {package[0]!r} of version {package[1]!r}, which no index has", "repositories")


def _configure(root: int, urls: Sequence[str], keys: Keys) -> None:
    """Let the system know its repositories and, where they are not Alpine's own, the keys."""
    for path in ("etc", "etc/apk", f"etc/apk/{_KEYS}"):
        intree.make_directory(root, path)
    lines = [f"{'# a directory of the host: ' if url.startswith('file:') else ''}{url}\n" for url in urls]
    paths.write_file(root, "etc/apk/repositories", "".join(lines).encode())
    for name, content in keys.items():
        paths.write_file(root, f"etc/apk/{_KEYS}/{name}", content)
