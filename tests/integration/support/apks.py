# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository of Alpine packages, made of an archive of an Alpine root file system and signed by a key of its own.

The packages are made anew from what the archive's database says is theirs: files, owners, modes, scripts, triggers and
dependencies. Three are added: ``alpine-base``, which here needs what the archive's world names; ``apk-tools-static``,
whose program carries the archive's own apk with its loader and libraries (``carrier.c``); and ``probe``, whose script
tells where it ran.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import re
import stat
import subprocess
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from .commands import succeed

_CARRIER = Path(__file__).with_name("carrier.c")
_LIKENESS = Path(__file__).with_name("likeapk.c")
_KEY = "jails-test.rsa.pub"
_CHECKSUM = "APK-TOOLS.checksum.SHA1"  # the keyword of pax(1) by which apk knows files
_LISTS = {"D": "depend", "p": "provides", "r": "replaces", "i": "install_if"}
_SINGLE = {"T": "pkgdesc", "U": "url", "L": "license", "o": "origin", "k": "provider_priority"}
_PROBE = """#!/bin/sh
exec >/var/lib/probe 2>&1
id -u
cat /proc/self/uid_map
mknod /var/lib/null c 1 3 && echo made a device
echo reached >{canary} && echo wrote to the host
exit 0
"""


class Package(NamedTuple):
    """A package to be made.

    :param fields: of its stanza in the database, by their letter.
    :param members: its files and directories.
    :param scripts: by their names, such as ``post-install``.
    """

    fields: Mapping[str, str]
    members: Sequence[tuple[tarfile.TarInfo, bytes]]
    scripts: Mapping[str, bytes]
    triggers: str = ""


class Signer(NamedTuple):
    """A private key, and the directory with its public one."""

    private: Path
    keys: Path


def signer(folder: Path, name: str) -> Signer:
    """A new key in a new directory."""
    home = folder / name
    (home / "public").mkdir(parents=True)
    succeed(["openssl", "genrsa", "-out", str(home / "private.pem"), "2048"])
    succeed(["openssl", "rsa", "-in", str(home / "private.pem"), "-pubout", "-out", str(home / "public" / _KEY)])
    return Signer(home / "private.pem", home / "public")


def unpack(archive: str, folder: Path) -> Path:
    """The root file system that is in an archive."""
    folder.mkdir()
    succeed(["tar", "-x", "-f", archive, "-C", str(folder)])
    return folder


def packages_of(root: Path, build: Path, canary: Path) -> list[Package]:
    """All packages of the repository."""
    database = root / "lib/apk/db"
    scripts = _scripts(database / "scripts.tar")
    triggers = dict(line.partition(" ")[::2] for line in (database / "triggers").read_text().splitlines())
    found = [
        Package(fields, list(_members(lines, root)), scripts.get(fields["C"], {}), triggers.get(fields["C"], ""))
        for fields, lines in _stanzas((database / "installed").read_text())
    ]
    common = {"A": found[0].fields["A"], "V": "1-r0", "L": "GPL-3.0-or-later", "T": "A package of the tests"}
    script = _PROBE.format(canary=canary)
    world = " ".join((root / "etc/apk/world").read_text().split())
    return [
        *found,
        Package({**common, "P": "alpine-base", "D": world}, [], {}),
        Package({**common, "P": "apk-tools-static"}, _file("sbin/apk.static", carry(root, build)), {}),
        # apk runs no script of a package without files.
        Package(
            {**common, "P": "probe", "D": "busybox"},
            _file("usr/share/probe", b"probe\n"),
            {"post-install": script.encode()},
        ),
    ]


def _file(path: str, content: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    """A program and the directories that it is in, which apk wants to find in a package too."""
    parts = path.split("/")
    members = [tarfile.TarInfo("/".join(parts[: count + 1])) for count in range(len(parts))]
    for member in members:
        member.mode = 0o755
    for folder in members[:-1]:
        folder.type = tarfile.DIRTYPE
    return [*((folder, b"") for folder in members[:-1]), (members[-1], content)]


def carry(root: Path, build: Path) -> bytes:
    """The archive's apk as a program that needs no libraries."""
    build.mkdir()
    loader = next((root / "lib").glob("ld-musl-*.so.1"))
    library_path = f"{root}/lib:{root}/usr/lib"
    command = [str(loader), "--library-path", library_path, "--list", str(root / "sbin/apk")]
    listed = succeed(command)
    needed = dict(re.findall(r"(\S+) => (\S+) \(", listed))
    files = {"loader": str(loader), "program": str(root / "sbin/apk")}
    files.update({name: path for name, path in needed.items() if "ld-musl" not in path and "ld-musl" not in name})
    for name, path in files.items():
        (build / name).write_bytes(Path(path).read_bytes())
    lines = [f'CARRY({number}, "{name}")\n' for number, name in enumerate(files)]
    (build / "carried.h").write_text("".join(lines))
    succeed(["gcc", "-static", f"-I{build}", f"-Wa,-I,{build}", "-o", str(build / "static"), str(_CARRIER)])
    return (build / "static").read_bytes()


def likeness(folder: Path) -> bytes:
    """A program without libraries that passes for apk where a template is built."""
    succeed(["gcc", "-static", "-Wall", "-Wextra", "-Werror", "-o", str(folder / "likeapk"), str(_LIKENESS)])
    return (folder / "likeapk").read_bytes()


def stubs(arch: str, program: bytes = b"") -> list[Package]:
    """Packages of these names.

    :param program: what is to be ``apk.static``; without it none is there that anybody could run.
    """
    common = {"A": arch, "V": "1-r0", "L": "GPL-3.0-or-later", "T": "A package of the tests"}
    program = program or os.urandom(4096)
    return [
        Package({**common, "P": "alpine-base"}, [], {}),
        Package({**common, "P": "apk-tools-static"}, _file("sbin/apk.static", program), {}),
        Package({**common, "P": "probe"}, _file("usr/share/probe", program), {}),
    ]


def publish(packages: Sequence[Package], folder: Path, by: Signer, packages_by: Signer | None = None) -> None:
    """Make the packages in ``folder/ARCH`` and sign an index of them.

    :param packages_by: signs the packages, if it is somebody else.
    """
    place = folder / packages[0].fields["A"]
    place.mkdir(parents=True, exist_ok=True)
    stanzas = []
    for package in packages:
        content, stanza = make(package, packages_by or by)
        (place / f"{package.fields['P']}-{package.fields['V']}.apk").write_bytes(content)
        stanzas.append(stanza)
    (place / "APKINDEX.tar.gz").write_bytes(index(stanzas, by))


def make(package: Package, by: Signer) -> tuple[bytes, str]:
    """A package's file, and its stanza in an index."""
    data = gzip.compress(_tar(package.members), mtime=0)
    installed = sum(len(content) for _member, content in package.members)
    lines = [f"pkgname = {package.fields['P']}", f"pkgver = {package.fields['V']}", f"arch = {package.fields['A']}"]
    lines += [f"{word} = {package.fields[letter]}" for letter, word in _SINGLE.items() if letter in package.fields]
    for letter, word in _LISTS.items():
        lines += [f"{word} = {value}" for value in package.fields.get(letter, "").split()]
    lines += [f"triggers = {package.triggers}"] if package.triggers else []
    lines += [f"size = {installed}", f"datahash = {hashlib.sha256(data).hexdigest()}", ""]
    parts = {".PKGINFO": "\n".join(lines).encode(), **{f".{name}": text for name, text in package.scripts.items()}}
    control = gzip.compress(_segment(parts), mtime=0)
    content = _signature(control, by) + control + data
    fields = {
        "C": f"Q1{base64.b64encode(hashlib.sha1(control).digest()).decode()}",
        **{letter: package.fields[letter] for letter in "PVA"},
        "S": str(len(content)),
        "I": str(installed),
        **{letter: text for letter, text in package.fields.items() if letter in {**_SINGLE, **_LISTS}},
    }
    return content, "".join(f"{letter}:{text}\n" for letter, text in fields.items())


def index(stanzas: Sequence[str], by: Signer) -> bytes:
    """A signed index."""
    parts = {"DESCRIPTION": b"tests", "APKINDEX": "\n".join(stanzas).encode()}
    signed = gzip.compress(_tar(_plain(parts)), mtime=0)
    return _signature(signed, by) + signed


def without_signature(content: bytes) -> bytes:
    """A file of a repository without its first gzip member."""
    inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
    inflater.decompress(content)
    return inflater.unused_data


def _signature(signed: bytes, by: Signer) -> bytes:
    command = ["openssl", "dgst", "-sha1", "-sign", str(by.private)]
    made = subprocess.run(command, input=signed, capture_output=True, check=True).stdout
    return gzip.compress(_segment({f".SIGN.RSA.{_KEY}": made}), mtime=0)


def _segment(parts: Mapping[str, bytes]) -> bytes:
    """A tar archive without its end."""
    size = 512 * sum(1 + -(-len(content) // 512) for content in parts.values())
    return _tar(_plain(parts))[:size]


def _plain(parts: Mapping[str, bytes]) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [(tarfile.TarInfo(name), content) for name, content in parts.items()]


def _tar(members: Sequence[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member, content in members:
            member.size = len(content)
            if member.isreg() and not member.name.startswith("."):
                member.pax_headers = {_CHECKSUM: hashlib.sha1(content).hexdigest()}
            elif member.issym():
                member.pax_headers = {_CHECKSUM: hashlib.sha1(member.linkname.encode()).hexdigest()}
            archive.addfile(member, io.BytesIO(content))
    return memory.getvalue()


def _stanzas(database: str) -> Iterator[tuple[dict[str, str], list[str]]]:
    """Of each installed package the fields, and the lines about its files."""
    for stanza in database.strip().split("\n\n"):
        lines = stanza.splitlines()
        first = next((number for number, line in enumerate(lines) if line.startswith("F:")), len(lines))
        yield dict(line.partition(":")[::2] for line in lines[:first]), lines[first:]


def _members(lines: Sequence[str], root: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    folder = ""
    for line in lines:
        letter, _colon, value = line.partition(":")
        if letter == "F":
            folder = value
            if (root / folder).is_dir():  # not all of what is below /dev
                yield _member(folder, root)
        elif letter == "R":
            yield _member(f"{folder}/{value}".lstrip("/"), root)


def _member(path: str, root: Path) -> tuple[tarfile.TarInfo, bytes]:
    status = os.lstat(root / path)
    member = tarfile.TarInfo(path)
    member.mode, member.uid, member.gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
    member.mtime = int(status.st_mtime)
    if stat.S_ISDIR(status.st_mode):
        member.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(status.st_mode):
        member.type, member.linkname = tarfile.SYMTYPE, os.readlink(root / path)
    else:
        return member, (root / path).read_bytes()
    return member, b""


def _scripts(path: Path) -> dict[str, dict[str, bytes]]:
    """The scripts of each package, by the checksum that is part of their names."""
    found: dict[str, dict[str, bytes]] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            checksum, _dot, kind = member.name[member.name.index(".Q1") + 1 :].partition(".")
            content = archive.extractfile(member)
            assert content
            found.setdefault(checksum, {})[kind] = content.read()
    return found
