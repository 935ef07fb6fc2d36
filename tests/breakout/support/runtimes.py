# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other runtimes, each with its defaults as root of the host starts it: how one runs a program in a directory.

What is not default is only what this host or the comparison cannot do without, and stands in ``beside``.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import mounts

SECONDS = 60
_IDS = (100_000, 65_536)
_LIMITS = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
_LIMIT = 16_384
"""What podman asks for is above the hard limits of some hosts (containers.conf(5), default_ulimits)."""


class Place(NamedTuple):
    """Where a runtime finds what it is to run.

    :param root: a directory with programs, owned by root; ``mapped`` the same, owned by the first of :data:`_IDS`.
    :param state: a directory for what a runtime has to keep.
    """

    root: Path
    mapped: Path
    state: Path


class Runtime(NamedTuple):
    """One of them.

    :param program: what has to be installed.
    :param version: the arguments that make it tell its version.
    :param command: from where to run what to a command line of the host.
    :param beside: what is not default, and why.
    """

    name: str
    program: str
    version: Sequence[str]
    command: Callable[[Place, Sequence[str]], list[str]]
    beside: str = ""

    def missing(self) -> str | None:
        """Why it cannot be tried; ``None`` when it can."""
        return None if shutil.which(self.program) else f"{self.program} is not installed"

    def version_text(self) -> str:
        """What it says of its version."""
        done = subprocess.run([self.program, *self.version], capture_output=True, text=True, check=False)
        return (done.stdout or done.stderr).splitlines()[0].strip()

    def says(self, place: Place, words: Sequence[str]) -> tuple[str, str]:
        """The last line that a program prints in it, and what else was said."""
        done = subprocess.run(
            self.command(place, words),
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
        )
        lines = done.stdout.split()
        return (lines[-1] if lines else f"status {done.returncode}"), done.stderr.strip()


def _bubblewrap(place: Place, words: Sequence[str]) -> list[str]:
    view = ["--bind", str(place.root), "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    return ["bwrap", "--unshare-all", "--die-with-parent", *view, "--", *words]


def _runc(place: Place, words: Sequence[str]) -> list[str]:
    bundle = place.state / "bundle"
    if not bundle.exists():
        bundle.mkdir()
        subprocess.run(["runc", "spec"], cwd=bundle, check=True)
    file = bundle / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config["process"].update(terminal=False, args=list(words))
    config["root"]["path"] = str(place.root)
    config["mounts"] = [each for each in config["mounts"] if each["destination"] != "/tmp"]
    config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]})
    file.write_text(json.dumps(config), encoding="utf-8")
    return ["runc", "--root", str(place.state / "runc"), "run", "--bundle", str(bundle), f"breakout-{os.getpid()}"]


def _podman(place: Place, words: Sequence[str]) -> list[str]:
    finite = [name for name, number in _LIMITS.items() if resource.getrlimit(number)[1] != resource.RLIM_INFINITY]
    limits = [f"--ulimit={name}={_LIMIT}:{_LIMIT}" for name in finite]
    kept = ["--root", str(place.state / "storage"), "--runroot", str(place.state / "run"), "--cgroup-manager=cgroupfs"]
    options = ["--rm", "--network=none", *limits, "--tmpfs=/tmp", "--rootfs", str(place.root)]
    return ["podman", *kept, "run", *options, *words]


def _lxc(root: Path, place: Place, words: Sequence[str], *more: str) -> list[str]:
    settings = [f"--define={each}" for each in (f"lxc.rootfs.path=dir:{root}", "lxc.net.0.type=empty", *more)]
    common = ["-n", f"breakout-{os.getpid()}", "-P", str(place.state), "-f", "/usr/share/lxc/config/common.conf"]
    return ["lxc-execute", *common, *settings, "--", *words]


def _lxc_privileged(place: Place, words: Sequence[str]) -> list[str]:
    return _lxc(place.root, place, words)


def _lxc_unprivileged(place: Place, words: Sequence[str]) -> list[str]:
    maps = [f"lxc.idmap={kind} 0 {_IDS[0]} {_IDS[1]}" for kind in "ug"]
    return _lxc(place.mapped, place, words, "lxc.include=/usr/share/lxc/config/userns.conf", *maps)


def _nspawn(place: Place, words: Sequence[str]) -> list[str]:
    options = ["--quiet", "--register=no", "--keep-unit", "--settings=no", "--directory", str(place.root)]
    return ["systemd-nspawn", *options, *words]


RUNTIMES = (
    Runtime("bubblewrap", "bwrap", ["--version"], _bubblewrap, "--unshare-all: by itself it unshares mounts alone"),
    Runtime("runc", "runc", ["--version"], _runc, "the configuration of `runc spec`, with a /tmp that can be written"),
    Runtime(
        "podman",
        "podman",
        ["--version"],
        _podman,
        "no network; lower limits of files and processes, where this host's are low",
    ),
    Runtime("LXC", "lxc-execute", ["--version"], _lxc_privileged, "no network"),
    Runtime("LXC userns", "lxc-execute", ["--version"], _lxc_unprivileged, "no network; with ids of its own"),
    Runtime("nspawn", "systemd-nspawn", ["--version"], _nspawn, "--register=no --keep-unit: nobody to register with"),
)


def prepared(folder: Path, programs: Sequence[str]) -> Place:
    """Directories with the programs in ``/`` and the little else that runtimes look for."""
    place = Place(folder / "root", folder / "mapped", folder / "state")
    place.state.mkdir()
    folder.chmod(0o755)
    for name in (
        "bin",
        "dev",
        "etc",
        "proc",
        "root",
        "run",
        "sbin",
        "sys",
        "tmp",
        "usr/bin",
        "usr/lib",
        "usr/sbin",
        "var/tmp",
    ):
        (place.root / name).mkdir(parents=True)
    for program in programs:
        shutil.copy(program, place.root)
    busybox = shutil.which("busybox")
    if busybox:
        shutil.copy(busybox, place.root / "bin" / "sh")
    for name, text in (("passwd", "root:x:0:0:root:/root:/bin/sh\n"), ("hosts", ""), ("os-release", "ID=none\n")):
        (place.root / "etc" / name).write_text(text, encoding="ascii")
    _allow_ids(folder)
    shutil.copytree(place.root, place.mapped)
    for path in (place.mapped, *place.mapped.rglob("*")):
        os.chown(path, _IDS[0], _IDS[0])
    return place


def _allow_ids(folder: Path) -> None:
    """Let root have these ids, in this mount namespace: newuidmap(1), where it is installed, asks for that."""
    for file in ("/etc/subuid", "/etc/subgid"):
        own = folder / os.path.basename(file)
        own.write_text(f"root:{_IDS[0]}:{_IDS[1]}\n", encoding="ascii")
        if os.path.exists(file):
            subprocess.run(["mount", "--bind", str(own), file], check=True)


def unmount_below(folder: Path) -> None:
    """Unmount what runtimes have left mounted in a directory."""
    for mount in reversed(mounts.mount_table()):
        if mount.target.startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", mount.target], check=False)


def groups() -> set[Path]:
    """The control groups at the top of each hierarchy."""
    tops = [Path(mount.target) for mount in mounts.mount_table() if mount.fstype in ("cgroup", "cgroup2")]
    return {each for top in tops for each in top.iterdir() if each.is_dir()}


def remove_new_groups(before: set[Path]) -> None:
    """Remove what runtimes have left there, where it is empty."""
    for top in groups() - before:
        for each in sorted((path for path in (top, *top.rglob("*")) if path.is_dir()), reverse=True):
            with contextlib.suppress(OSError):
                each.rmdir()
