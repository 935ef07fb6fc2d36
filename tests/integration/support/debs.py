# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Debian archive of a few small packages, built and signed here: a system of the host's busybox, dpkg and apt, and a
program with a maintainer script that tells where it ran.

The packages have the names that debootstrap(8) and mmdebstrap(1) insist on, and what these and dpkg(1) need to run.
"""

from __future__ import annotations

import email.utils
import gzip
import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import hosttools, libraries

from .commands import succeed
from .openpgp import Key

PROGRAMS = ("apt-get", "busybox", "dpkg", "dpkg-deb", "gpg", "gpgv", "ldconfig", "perl", "tar")
"""What this module needs."""

SUITE = "bookworm"
INDEX = f"dists/{SUITE}/main/binary-%s/Packages"

_LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
_FOLDERS = ("dev", "etc", "home", "root", "tmp", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "usr/share", "var/log")
_DPKG = ("dpkg", "dpkg-deb", "dpkg-query", "dpkg-split", "dpkg-trigger", "start-stop-daemon")
_TABLES = {f"usr/share/dpkg/{name}": f"/usr/share/dpkg/{name}" for name in ("cputable", "ostable", "tupletable")}
_METHODS = ("copy", "file", "gpgv", "store")
_APT = ("apt-get", "apt-config", *(f"/usr/lib/apt/methods/{name}" for name in _METHODS))
_APT_FOLDERS = (
    *("etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/sources.list.d", "etc/apt/trusted.gpg.d"),
    *("var/cache/apt/archives/partial", "var/lib/apt/lists/partial", "var/log/apt"),
)
# No shell: that of busybox runs its own applets, dpkg among them, before it looks for programs.
_APPLETS = """
basename cat chmod chown cp cut date diff dirname echo env expr false find grep head id ln ls mkdir mknod mktemp mount
mv od printf readlink realpath rm rmdir sed seq sha256sum sleep sort stat tail test touch tr true umount uname uniq wc
which xargs
"""
_PASSWD = "root:x:0:0:root:/root:/bin/sh\n_apt:x:42:65534::/nonexistent:/bin/false\n"
_GROUP = "root:x:0:\nnogroup:x:65534:\n"
_FILES = {
    # debootstrap ends with sync(1), which waits for all disks of the host; and dpkg would wait for each file.
    "usr/bin/sync": "#!/bin/sh\n",
    "etc/dpkg/dpkg.cfg.d/tests": "force-unsafe-io\n",
}
_POSTINST = """#!/bin/sh
exec >/var/lib/tool/post 2>&1
id -u
cat /proc/self/uid_map
mknod /var/lib/tool/null c 1 3 && echo made a device
echo reached >{canary} && echo wrote to the host
exit 0
"""


class Package(NamedTuple):
    """A package to be made.

    :param fields: of its control file, beside those that all have.
    :param programs: names or paths of programs of the host that are in it, at their place on the host.
    :param files: further files, by path: what is in them, or the path of a file of the host.
    :param links: symbolic links, by path.
    :param folders: further directories.
    :param postinst: its script.
    """

    name: str
    fields: Mapping[str, str] = MappingProxyType({})
    programs: Sequence[str] = ()
    files: Mapping[str, str] = MappingProxyType({})
    links: Mapping[str, str] = MappingProxyType({})
    folders: Sequence[str] = ()
    postinst: str = ""


def packages(canary: Path) -> list[Package]:
    """All packages of the archive.

    :param canary: a file of the host that the script of ``tool`` tries to write to.
    """
    essential = {"Priority": "required", "Essential": "yes"}
    applets = {f"usr/bin/{name}": "busybox" for name in _APPLETS.split()}
    return [
        Package("base-files", essential, ["busybox", "sh", "tar"], _FILES, {**_LINKS, **applets}, _FOLDERS),
        Package("base-passwd", essential, files={"etc/passwd": _PASSWD, "etc/group": _GROUP}),
        Package("libc6", essential, ["ldconfig"], files=_libraries([*_DPKG, *_APT, "gpgv", "perl", "sh", "tar"])),
        Package("dpkg", essential, _DPKG, files=_TABLES, folders=["var/lib/dpkg"]),
        Package("perl-base", essential, ["perl"]),
        Package("mawk", {"Priority": "required"}, links={"usr/bin/mawk": "busybox", "usr/bin/awk": "busybox"}),
        Package("usr-is-merged", {"Priority": "required"}, folders=["usr/share/usr-is-merged"]),
        Package("apt", {"Priority": "important"}, [*_APT, "gpgv"], folders=_APT_FOLDERS),
        Package("tool", {"Depends": "libc6"}, folders=["var/lib/tool"], postinst=_POSTINST.format(canary=canary)),
    ]


def build(wanted: Iterable[Package], folder: Path) -> list[Path]:
    """The files of packages, in a new directory."""
    folder.mkdir()
    return [_build(package, folder) for package in wanted]


def publish(built: Sequence[Path], folder: Path, by: Key) -> None:
    """Make a directory an archive of these packages, whose index is signed."""
    pool = folder / "pool"
    pool.mkdir(parents=True)
    for path in built:
        os.link(path, pool / path.name)
    index = folder / (INDEX % architecture())
    index.parent.mkdir(parents=True)
    index.write_text("".join(f"{_stanza(path)}\n" for path in built))
    index.with_suffix(".gz").write_bytes(gzip.compress(index.read_bytes(), mtime=0))
    sign(folder, by)


def sign(folder: Path, by: Key) -> None:
    """Sign the indexes that an archive has now."""
    suite = folder / "dists" / SUITE
    indexes = sorted(path for path in suite.rglob("Packages*") if path.is_file())
    fields = {
        "Origin": " tests",
        "Suite": f" {SUITE}",
        "Codename": f" {SUITE}",
        "Date": f" {email.utils.formatdate(usegmt=True)}",
        "Architectures": f" {architecture()}",
        "SHA256": "".join(f"\n {_checksum(path)} {path.stat().st_size} {path.relative_to(suite)}" for path in indexes),
        # Last, because debootstrap does not see the last line.
        "Components": " main",
    }
    release = suite / "Release"
    # No blank at the end of a line: gpg leaves those out of what it signs, and debootstrap does not.
    release.write_text("".join(f"{name}:{value}\n" for name, value in fields.items()))
    by.sign(release, suite / "InRelease", "--clearsign")
    release.unlink()


def architecture() -> str:
    """What dpkg calls the host's."""
    return succeed(["dpkg", "--print-architecture"]).strip()


def _stanza(path: Path) -> str:
    control = succeed(["dpkg-deb", "--field", str(path)])
    return f"{control}Filename: pool/{path.name}\nSize: {path.stat().st_size}\nSHA256: {_checksum(path)}\n"


def _checksum(path: Path, algorithm: str = "sha256") -> str:
    return hashlib.new(algorithm, path.read_bytes()).hexdigest()


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _build(package: Package, folder: Path) -> Path:
    root = folder / package.name
    for each in package.folders:
        (root / each).mkdir(parents=True)
    for program in package.programs:
        _copy(_found(program), root)
    for path, source in package.files.items():
        _room(root / path)
        if source.startswith("/"):
            shutil.copy(source, root / path)
        else:
            (root / path).write_text(source)
            (root / path).chmod(0o755 if source.startswith("#!") else 0o644)
    for path, target in package.links.items():
        _room(root / path)
        (root / path).symlink_to(target)
    _control(package, root)
    made = folder / f"{package.name}_1_{architecture()}.deb"
    succeed(["dpkg-deb", "--build", "--root-owner-group", "-Znone", str(root), str(made)])
    return made


def _control(package: Package, root: Path) -> None:
    fields = {
        "Package": package.name,
        "Version": "1",
        "Architecture": architecture(),
        "Maintainer": "tests <tests@jails.example>",
        "Priority": "optional",
        "Description": "a package of the tests",
        **package.fields,
    }
    sums = [f"{_checksum(path, 'md5')}  {path.relative_to(root)}\n" for path in root.rglob("*") if _is_file(path)]
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/md5sums").write_text("".join(sums))
    (root / "DEBIAN/control").write_text("".join(f"{name}: {value}\n" for name, value in fields.items()))
    if package.postinst:
        script = root / "DEBIAN/postinst"
        script.write_text(package.postinst)
        script.chmod(0o755)


def _libraries(programs: Sequence[str]) -> dict[str, str]:
    """The loaders and libraries that programs of the host need, by their place in a package."""
    found = set()
    for path in map(_found, programs):
        loader = libraries.interpreter(Path(path).read_bytes())
        found.update(libraries.needed_by(path, loader) if loader else [])
    return {_place(path): path for path in found}


def _found(program: str) -> str:
    return program if program.startswith("/") else hosttools.find(program, program)


def _copy(path: str, root: Path) -> None:
    _room(root / _place(path))
    shutil.copy(path, root / _place(path))


def _place(path: str) -> str:
    """Where a file of the host is in a package: nothing is beside ``/usr``."""
    return path.lstrip("/") if path.startswith(("/usr/", "/etc/")) else f"usr{path}"


def _room(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
