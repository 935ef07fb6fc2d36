# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root file systems of distributions as jails: made by the module, started, looked at from inside."""

from __future__ import annotations

import os
import shutil
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import build
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import hosttools, recipes, templates
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.methods import hostapt
from ansible_collections.cellblock.jails.tests.integration.support import apks, openpgp, rpms, web
from ansible_collections.cellblock.jails.tests.integration.support.calls import inside, module, shell
from ansible_collections.cellblock.jails.tests.integration.support.networks import network_namespace


def needs(*programs: str) -> None:
    """Skip the test where the host lacks one."""
    missing = [program for program in programs if hosttools.look_up(program) is None]
    if missing:
        pytest.skip(f"the host has no {', '.join(missing)}")


def started(name: str, options: dict[str, Any], *command: str) -> None:
    """Make a jail and start it; making it again changes nothing."""
    made = module("jail_rootfs", name=name, **options)
    assert made["changed"]
    assert not module("jail_rootfs", name=name, **options)["changed"]
    module("jail_state", name=[name], command=list(command), stop_timeout=1, state="started")


def build_with_network(options: dict[str, Any]) -> None:
    """Build the template in this process. The sandbox has no network; who started the tests may have one."""
    with network_namespace(os.getppid()):
        try:
            suite = f"{hostapt.mirror()}/dists/{options['suite']}/InRelease"
            with urllib.request.urlopen(suite, timeout=10):
                pass
        except (JailError, OSError) as error:
            pytest.skip(f"no mirror of {options['suite']}: {error}")
        templates.ensure(recipes.parse(options), build.confine)


@pytest.mark.parametrize("tool", recipes.TOOLS)
def test_debian_trixie(name: str, tool: str) -> None:
    """The suite whose /usr is merged by its own packages, and whose time is counted by 64 bits everywhere."""
    needs(tool)
    options = {"method": "debootstrap", "suite": "trixie", "tool": tool, "packages": ["hello"]}
    build_with_network(options)
    started(name, options, "sleep", "100000")
    assert "VERSION_CODENAME=trixie" in inside(name, "cat", "/etc/os-release")
    assert inside(name, "hello") == "Hello, world!\n"
    assert inside(name, "dpkg", "--audit") == ""
    assert inside(name, "readlink", "/bin", "/sbin", "/lib") == "usr/bin\nusr/sbin\nusr/lib\n"
    assert shell(name, "dpkg-query -W -f '${db:Status-Abbrev}\n' | sort -u") == "ii \n"
    assert "libssl3t64" in shell(name, "dpkg-query -W -f '${Package}\n'")


def test_alpine(name: str, tmp_path: Path) -> None:
    """From a repository that is made of the archive's own packages. Its init is busybox, which starts no OpenRC here:
    the archive has none."""
    archive = os.environ.get("JAILS_TEST_ALPINE_ARCHIVE")
    if not archive:
        pytest.skip("JAILS_TEST_ALPINE_ARCHIVE names no archive of an Alpine root file system")
    needs("gcc", "openssl")
    by = apks.signer(tmp_path, "good")
    packages = apks.packages_of(apks.unpack(archive, tmp_path / "root"), tmp_path / "build", tmp_path / "canary")
    apks.publish(packages, tmp_path / "mirror/v3.20/main", by)
    with web.serving(web.files(tmp_path / "mirror")) as url:
        options = {"method": "apk", "release": "v3.20", "mirror": url, "repositories": ["main"], "keys": str(by.keys)}
        started(name, {**options, "packages": ["probe"]}, "/sbin/init")
    assert inside(name, "cat", "/proc/1/comm") == "init\n"
    assert "probe-1-r0" in inside(name, "apk", "info", "--verbose").split()
    assert inside(name, "apk", "info", "--installed", "busybox") == "busybox\n"
    assert shell(name, "busybox | head -n 1").startswith("BusyBox")
    assert inside(name, "stat", "-c", "%u:%g %a", "/etc/shadow") == "0:42 640\n"


def test_rpms(name: str, tmp_path: Path) -> None:
    """From a repository that is built and signed here."""
    needs(*rpms.PROGRAMS)
    with openpgp.key(tmp_path, "good") as by:
        folder = tmp_path / "repository"
        folder.mkdir()
        packages = [Path(shutil.copy(each, folder)) for each in rpms.build(tmp_path, tmp_path / "canary")]
        rpms.sign(packages, by)
        rpms.index(folder)
        with web.serving(web.files(folder)) as url:
            options = {"release": "1", "repositories": [{"name": "tests", "baseurl": url, "gpgkey": str(by.public)}]}
            started(name, {"method": "dnf", "packages": ["tool"], **options}, "/bin/sleep", "100000")
    assert shell(name, "ls /usr/lib/sysimage/rpm").startswith("rpmdb.sqlite")
    assert inside(name, "cat", "/etc/pki/rpm-gpg/RPM-GPG-KEY-good.asc").startswith("-----BEGIN PGP PUBLIC KEY")
    assert "[tests]" in inside(name, "cat", "/etc/yum.repos.d/tests.repo")
    assert inside(name, "ls", "-ln", "/bin/tool").split()[2:4] == ["71", "71"]
