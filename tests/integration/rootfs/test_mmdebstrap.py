# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Method ``debootstrap`` with mmdebstrap. What downloads packages says so and is skipped where there is no mirror."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import build
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import paths
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import hosttools, recipes, templates
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.builder import Job
from ansible_collections.cellblock.jails.tests.integration.support import tracing
from ansible_collections.cellblock.jails.tests.integration.support.layer import never
from ansible_collections.cellblock.jails.tests.integration.support.processes import (
    kill_at_random,
    wait_for_no_children,
)
from ansible_collections.cellblock.jails.tests.integration.support.trees import owners_on_disk

pytestmark = pytest.mark.skipif(not shutil.which("mmdebstrap"), reason="mmdebstrap is not installed")

OPTIONS = {"method": "debootstrap", "tool": "mmdebstrap", "suite": "bookworm"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PACKAGES = ["iputils-ping", "nginx-light"]
# By these a process changes what its paths mean; the second word of the line is what becomes of it.
ROOTS = re.compile(r"\b(chroot|pivot_root|setns)\(")
STARTED = re.compile(r'\bexecve(?:at)?\((?:[^"]*, )?"([^"]*)"')
HOST = ("/usr/", "/bin/", "/sbin/", "/lib/")


def traced(monkeypatch: pytest.MonkeyPatch, trace: Path) -> None:
    """Have every program of the host that a builder runs, with all that it starts, write into a trace."""
    run = hosttools.run
    strace = hosttools.find("strace", "strace")

    def run_traced(command: Sequence[str], output: int) -> int:
        calls = "trace=?execve,?execveat,?chroot,?pivot_root,?setns"
        return run(
            [strace, "-f", "--seccomp-bpf", "-qq", "-A", "-s", "4096", "-e", calls, "-o", str(trace), *command], output
        )

    monkeypatch.setattr(hosttools, "run", run_traced)


def foreign(trace: str) -> list[str]:
    """Lines of a trace that run something in a changed root, or that is not in a directory of the host's programs."""
    programs = [line for line in trace.splitlines() if STARTED.search(line)]
    assert len(programs) > 50, "the trace has not seen what it should"
    odd = [line for line in programs if not STARTED.findall(line)[0].startswith(HOST)]
    return odd + [line for line in trace.splitlines() if ROOTS.search(line)]


@pytest.mark.usefixtures("mirror")
def test_nothing_of_the_tree_runs_on_the_host(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the first program that is confined the host runs its own only, from its own root."""
    tracing.needs_strace()
    trace = host / "trace"
    traced(monkeypatch, trace)
    keyring = {"keyring": KEYRING} if os.path.exists(KEYRING) else {}
    with pytest.raises(JailError, match="dpkg ended with status 3"):
        templates.ensure(recipes.parse({**OPTIONS, **keyring, "packages": ["hello"]}), lambda _tree, _job: 3)
    assert foreign(trace.read_text()) == []
    assert os.listdir(layout.TEMPLATES) == []


def test_control_mmdebstrap_by_itself_runs_the_tree(host: Path, mirror: str) -> None:
    """As anybody would call it, it changes its root and runs what it has unpacked there."""
    tracing.needs_strace()
    trace, tree = host / "trace", host / "tree"
    calls = "trace=?execve,?execveat,?chroot,?pivot_root,?setns"
    strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-s", "4096", "-e", calls, "-o", str(trace)]
    own = ["mmdebstrap", "--mode=root", "--variant=essential", "--format=directory", "bookworm", str(tree), mirror]
    subprocess.run([*strace, *own], check=True, capture_output=True)
    assert f'chroot("{tree}' in trace.read_text()
    assert foreign(trace.read_text())


@pytest.mark.usefixtures("mirror")
def test_debian_is_built_by_mmdebstrap() -> None:
    key = templates.ensure(recipes.parse({**OPTIONS, "packages": PACKAGES, "exclude": ["tzdata"]}), build.confine)
    root = Path(templates.tree(key))
    assert owners_on_disk(root) <= set(range(65536))
    for name in ("proc", "sys", "dev", "run", "tmp", "var/cache/apt/archives", "var/lib/apt/lists"):
        assert os.listdir(root / name) == [], name
    for name in ("etc/hostname", "etc/resolv.conf", "usr/sbin/policy-rc.d", "etc/apt/apt.conf.d/99mmdebstrap"):
        assert not os.path.lexists(root / name), name
    assert os.readlink(root / "bin") == "usr/bin"
    assert (root / "etc/apt/sources.list").read_text().startswith("deb http")
    assert os.getxattr(root / "usr/bin/ping", "security.capability")
    script = "dpkg --audit; dpkg-query -W -f '${db:Status-Abbrev}\\n' | sort -u; nginx -v"
    with paths.opened(os.memfd_create("said")) as said:
        assert build.confine(str(root), Job(["/bin/sh", "-c", script], said, said)) == 0
        text = os.pread(said, 1 << 16, 0).decode()
    assert re.fullmatch(r"ii \nnginx version: .*\n", text), text
    installed = re.findall("^Package: (.*)$", (root / "var/lib/dpkg/status").read_text(), re.MULTILINE)
    assert {"usr-is-merged", *PACKAGES} <= set(installed)
    assert not {"usrmerge", "tzdata"} & set(installed)


@pytest.mark.usefixtures("mirror")
def test_a_signature_by_another_key_is_refused(host: Path) -> None:
    (host / "empty.gpg").write_bytes(b"")
    with pytest.raises(JailError, match=r"E: .*(is not signed|NO_PUBKEY|couldn't be verified|not available)"):
        templates.ensure(recipes.parse({**OPTIONS, "keyring": str(host / "empty.gpg")}), never)
    assert os.listdir(layout.TEMPLATES) == []


@pytest.mark.usefixtures("mirror")
def test_a_package_that_there_is_not() -> None:
    with pytest.raises(JailError, match="E: Unable to locate package no-such-package"):
        templates.ensure(recipes.parse({**OPTIONS, "packages": ["no-such-package"]}), never)


def test_a_dead_mirror_is_told_with_the_reason() -> None:
    recipe = recipes.parse({**OPTIONS, "mirror": "http://127.0.0.1:9/debian"})
    with pytest.raises(JailError, match="Connection refused"):
        templates.ensure(recipe, never)
    assert os.listdir(layout.TEMPLATES) == []


@pytest.mark.usefixtures("mirror")
def test_killed_it_leaves_no_process_and_no_mount() -> None:
    recipe = recipes.parse(OPTIONS)
    assert any(kill_at_random(lambda: templates.ensure(recipe, never), 5) for _time in range(3))
    wait_for_no_children()
    assert templates.sweep() in ([], [recipes.key(recipe)])
    assert os.listdir(layout.TEMPLATES) == []
    assert layout.TEMPLATES not in Path("/proc/self/mountinfo").read_text()
