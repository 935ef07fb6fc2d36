# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository of rpm packages, built and signed here: a system of the host's busybox, and a program with scriptlets
that tell where they ran."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from .commands import succeed
from .openpgp import Key

PROGRAMS = ("dnf", "rpm", "rpmkeys", "rpmbuild", "rpmsign", "createrepo_c", "gpg", "busybox")
"""What this module and the method need."""

_HEADER = """
%global debug_package %{{nil}}
%global __os_install_post %{{nil}}
%global _build_id_links none
Name: {name}
Version: 1
Release: 1
Summary: A package of the tests
License: GPL-3.0-or-later
AutoReqProv: no
"""
_BASE = """
%description
A system of busybox.
%install
cd %{{buildroot}}
mkdir -p bin etc usr/lib/sysimage/rpm tmp root
cp {busybox} bin/busybox
for name in sh ls id cat mknod sleep; do
    ln -s busybox bin/$name
done
echo 'root:x:0:0:root:/root:/bin/sh' >etc/passwd
echo 'root:x:0:' >etc/group
%files
/bin/*
%config(noreplace) /etc/passwd
%config(noreplace) /etc/group
%dir /usr/lib/sysimage/rpm
%dir %attr(1777,root,root) /tmp
%dir %attr(0700,root,root) /root
"""
# What the scriptlets try on whatever root they find: make a device, and write to a file of the host.
_TOOL = """
Requires: base
%description
A program with scriptlets.
%install
mkdir -p %{{buildroot}}/bin %{{buildroot}}/var/lib/tool
cp {busybox} %{{buildroot}}/bin/tool
%pre
echo 'tool:x:71:' >>/etc/group
echo 'tool:x:71:71:tool:/var/lib/tool:/bin/sh' >>/etc/passwd
%post
exec >/var/lib/tool/post 2>&1
id -u
cat /proc/self/uid_map
mknod /var/lib/tool/null c 1 3 && echo made a device
echo reached >{canary} && echo wrote to the host
exit 0
%posttrans -p <lua>
local file = io.open("/var/lib/tool/lua", "w")
file:write("it ran\\n")
file:close()
local outside = io.open("{canary}", "w")
if outside then outside:write("reached by lua") end
%files
%attr(0755,tool,tool) %caps(cap_net_bind_service=ep) /bin/tool
%dir %attr(0755,tool,tool) /var/lib/tool
"""


def build(folder: Path, canary: Path) -> list[Path]:
    """The packages ``base`` and ``tool``, not signed."""
    busybox = shutil.which("busybox")
    for name, text in (("base", _BASE), ("tool", _TOOL)):
        spec = folder / f"{name}.spec"
        spec.write_text((_HEADER + text).format(name=name, busybox=busybox, canary=canary))
        succeed(["rpmbuild", "--quiet", "-bb", "--define", f"_topdir {folder}/rpmbuild", str(spec)])
    return sorted((folder / "rpmbuild" / "RPMS").rglob("*.rpm"))


def sign(packages: Sequence[Path], by: Key) -> None:
    """Sign packages where they are."""
    macros = {"_gpg_name": by.public.stem, "_gpg_path": str(by.home), "__gpg": str(shutil.which("gpg"))}
    defined = [word for name, value in macros.items() for word in ("--define", f"{name} {value}")]
    succeed(["rpmsign", *defined, "--addsign", *map(str, packages)])


def index(folder: Path, by: Key | None = None) -> None:
    """Make a directory of packages a repository, with an index that is signed or not."""
    succeed(["createrepo_c", "--quiet", str(folder)])
    if by is not None:
        index_file = folder / "repodata" / "repomd.xml"
        by.sign(index_file, index_file.with_name("repomd.xml.asc"), "--armor", "--detach-sign")
