# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian with each of its inits under the default policy: started, at work, stopped in good order.

The template is downloaded; where no mirror can be reached, the tests say so and are skipped.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import build, live, policy
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import recipes, templates
from ansible_collections.cellblock.jails.tests.integration.support import hostpackages, mirrors
from ansible_collections.cellblock.jails.tests.integration.support.boxes import fresh_name
from ansible_collections.cellblock.jails.tests.integration.support.calls import attempt, inside, jail, module, shell

pytestmark = pytest.mark.skipif(not shutil.which("debootstrap"), reason="debootstrap is not installed")

DEBIAN = {"method": "debootstrap", "suite": "bookworm", "packages": ["systemd-sysv"]}
_SYSVINIT = ("sysvinit-core", "sysvinit-utils", "initscripts", "insserv", "startpar")
_OTHERS = {
    "sysvinit": (*_SYSVINIT, "sysv-rc"),
    "openrc": (*_SYSVINIT, "openrc", "libeinfo1", "librc1"),
    "busybox": ("busybox-static",),
}
_SWAP = """
mkdir -p /run/systemd/system  # so that no package looks for a running sysvinit
dpkg --force-depends --force-remove-protected --purge systemd-sysv
dpkg --install /mnt/*.deb
"""
_SECONDS = 60

_SYSTEMD_UNIT = """
[Service]
ExecStart=/bin/sleep 100000
ExecStop=/bin/sh -c "echo systemd >> /var/goodbye"
[Install]
WantedBy=multi-user.target
"""
_INIT_SCRIPT = """#!/bin/sh
### BEGIN INIT INFO
# Provides: greeter
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
### END INIT INFO
case "$1" in
start) echo greeter > /run/hello ;;
stop) echo "$NAME_OF_INIT" >> /var/goodbye ;;
esac
"""
_BUSYBOX_TABLE = """::sysinit:/bin/sh -c 'echo greeter > /run/hello'
::respawn:/bin/sleep 100000
::shutdown:/bin/sh -c 'echo busybox >> /var/goodbye'
"""


@pytest.fixture(scope="module")
def _debian() -> None:
    """A template of Debian with systemd."""
    with mirrors.reached():
        templates.ensure(recipes.parse(DEBIAN), build.confine)


@pytest.fixture(scope="module")
def systemd(_debian: None) -> Iterator[str]:
    """A jail that has just been started with all defaults."""
    name = fresh_name()
    module("jail_rootfs", jails=[{"name": name, **DEBIAN}])
    module("jail_state", name=[name], state="started")
    yield name
    attempt("jail_state", name=[name], state="absent")


def _settled(name: str) -> str:
    """What systemd says of the system once it has started; its manager can be spoken to a moment after its start."""
    deadline = time.monotonic() + _SECONDS
    while True:
        done = jail("exec", name, "--", "systemctl", "is-system-running", "--wait")
        said = done.stdout.decode().strip()
        if said not in ("", "offline", "starting", "initializing") or time.monotonic() > deadline:
            return said or done.stderr.decode()
        time.sleep(0.1)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _unified(name: str) -> Path:
    unified = live.hierarchies().unified
    assert unified
    return Path(unified, layout.CGROUP_PARENT, name)


def _exists(name: str, path: str) -> bool:
    return jail("exec", name, "--", "test", "-e", path).returncode == 0


def test_systemd_runs_and_all_its_units_with_it(systemd: str) -> None:
    """No unit has failed, each service is in a group of its own, and the kernel's word is as settled."""
    assert _settled(systemd) == "running", inside(systemd, "systemctl", "--failed", "--no-pager")
    assert inside(systemd, "systemctl", "show", "-P", "ActiveState", "systemd-journald").strip() == "active"
    group = shell(systemd, "cat /proc/$(systemctl show -P MainPID systemd-journald)/cgroup").splitlines()
    assert "0::/system.slice/systemd-journald.service" in group
    done = jail("audit", systemd)
    assert done.returncode == 0, done.stdout
    assert b"mounts./sys/fs/cgroup" in done.stdout
    who_enters = inside(systemd, "cat", "/proc/self/cgroup").splitlines()
    assert "0::/" in who_enters


def test_a_service_that_wants_a_user_namespace_starts_without(systemd: str) -> None:
    """As no jail has any; but for the drop-in it would not start."""
    assert _settled(systemd) == "running"
    drop_in = "/run/systemd/system/service.d/cellblock.conf"
    unit = "/run/systemd/system/wants-users.service"
    text = "[Service]\nType=oneshot\nPrivateUsers=yes\nExecStart=/bin/sh -c 'id -un > /run/who'\n"
    start = f'printf "{text}" > {unit}; systemctl daemon-reload; systemctl start wants-users'
    shell(systemd, f"{start} && test $(cat /run/who) = root && rm /run/who")
    shell(systemd, f"mv {drop_in} /run/aside")
    try:
        assert jail("exec", systemd, "--", "sh", "-c", start).returncode != 0
        assert "status=217/USER" in inside(systemd, "journalctl", "--no-pager", "-u", "wants-users")
    finally:
        shell(systemd, f"mv /run/aside {drop_in}; rm {unit}; systemctl daemon-reload; systemctl reset-failed")


@pytest.mark.usefixtures("_debian")
@pytest.mark.parametrize("options", [{"children_max": 2}, {"allow_mount": True}], ids="".join)
def test_systemd_in_an_inner_user_namespace(name: str, options: dict[str, Any]) -> None:
    """It runs as ever, with its groups, where the jail may have children or mount; its children see none of them."""
    module("jail_rootfs", jails=[{"name": name, **DEBIAN}])
    module("jail_state", name=[name], **options, state="started")
    assert _settled(name) == "running", inside(name, "systemctl", "--failed", "--no-pager")
    shell(name, "mkdir /sys/fs/cgroup/x && rmdir /sys/fs/cgroup/x")
    done = jail("audit", name)
    assert done.returncode == 0, done.stdout
    assert b"mounts./sys/fs/cgroup" in done.stdout
    assert jail("exec", name, "--", "mount", "-t", "cgroup2", "none", "/mnt").returncode != 0
    if "children_max" in options:
        assert inside(name, "unshare", "-Ur", "id", "-u") == "0\n"
        assert jail("exec", name, "--", "unshare", "-Urm", "mount", "-t", "cgroup2", "none", "/mnt").returncode != 0


@pytest.mark.row(22, 23)
@pytest.mark.usefixtures("_debian")
def test_systemd_in_the_hosts_network(name: str) -> None:
    """It finds its control groups in a sysfs that is the host's, and each unit runs as ever."""
    module("jail_rootfs", jails=[{"name": name, **DEBIAN}])
    module("jail_net", name=name, network="host")
    module("jail_state", name=[name], state="started")
    assert _settled(name) == "running", inside(name, "systemctl", "--failed", "--no-pager")
    assert inside(name, "readlink", "/proc/self/ns/net").strip() == os.readlink("/proc/self/ns/net")
    done = jail("audit", name)
    assert done.returncode == 0, done.stdout


def test_groups_of_the_jail_have_no_controllers_and_its_limits_stand_above(systemd: str) -> None:
    """What holds the jail is not among what it was given, and it gets no more by mounting."""
    assert inside(systemd, "cat", "/sys/fs/cgroup/cgroup.controllers").split() == []
    before = live.group_of(systemd).get("pids_max")
    for attempt_at in ("mount -t cgroup2 none /mnt", "mount -t cgroup -o pids none /mnt", "umount /sys/fs/cgroup"):
        assert jail("exec", systemd, "--", "sh", "-c", attempt_at).returncode != 0, attempt_at
    assert live.group_of(systemd).get("pids_max") == before
    in_part = {int(pid) for file in _unified(systemd).rglob("cgroup.procs") for pid in file.read_text().split()}
    assert set(live.group_of(systemd).processes()) == in_part


@pytest.mark.row(23)
@pytest.mark.parametrize("file", ["cgroup.max.descendants", "cgroup.max.depth", "cgroup.pressure"])
def test_the_files_of_the_first_group_are_the_hosts(systemd: str, file: str) -> None:
    """The jail's root can write them only once they are its own."""
    path = _unified(systemd) / "guest" / file
    script = f"echo $(cat /sys/fs/cgroup/{file}) > /sys/fs/cgroup/{file}"
    assert b"Permission denied" in jail("exec", systemd, "--", "sh", "-c", script).stderr
    first_id = os.stat(_unified(systemd) / "guest").st_uid
    assert first_id
    os.chown(path, first_id, first_id)
    try:
        shell(systemd, script)
    finally:
        os.chown(path, 0, 0)


@pytest.mark.row(55)
def test_the_number_of_groups_is_held(systemd: str) -> None:
    """A jail can make so many and no more; without the number it goes on."""
    script = "cd /sys/fs/cgroup; n=0; while [ $n -lt 700 ] && mkdir x$n 2>/dev/null; do n=$((n+1)); done; echo $n"
    undo = "rmdir /sys/fs/cgroup/x*"
    most = _unified(systemd) / "cgroup.max.descendants"
    assert most.read_text().strip() == str(policy.GROUPS_MAX + 1)
    try:
        made = int(shell(systemd, script))
        shell(systemd, undo)
        assert 300 < made <= policy.GROUPS_MAX
        most.write_text("max")
        assert int(shell(systemd, script)) == 700
        shell(systemd, undo)
    finally:
        most.write_text(str(policy.GROUPS_MAX + 1))


def test_systemd_stops_in_good_order_and_nothing_is_left(systemd: str) -> None:
    """Services are stopped by their own commands, without an option, and well within the time."""
    assert _settled(systemd) == "running"
    jail("exec", systemd, "--", "sh", "-c", "cat > /etc/systemd/system/greeter.service", given=_SYSTEMD_UNIT.encode())
    inside(systemd, "systemctl", "enable", "--now", "greeter")
    before = time.monotonic()
    module("jail_state", name=[systemd], stop_timeout=_SECONDS, state="stopped")
    assert time.monotonic() - before < _SECONDS
    assert not _unified(systemd).exists()
    module("jail_state", name=[systemd], state="started")
    assert inside(systemd, "cat", "/var/goodbye") == "systemd\n"
    assert _settled(systemd) == "running"


def test_the_inits_of_other_jails_get_no_groups(box: str) -> None:
    """Only systemd does."""
    table = inside(box, "cat", "/proc/mounts")
    assert "/sys/fs/cgroup" not in table
    assert not live.group_of(box).is_handed_over()


@pytest.fixture(params=list(_OTHERS))
def other(request: pytest.FixtureRequest, _debian: None, name: str, tmp_path: Path) -> tuple[str, str]:
    """The name of an init, and of a jail of Debian that has it in the place of systemd."""
    init = str(request.param)
    with mirrors.reached():
        hostpackages.download(_OTHERS[init], tmp_path / "hostpackages")
    module("jail_rootfs", jails=[{"name": name, **DEBIAN}])
    volume = hostpackages.show(tmp_path / "hostpackages", "/mnt")
    module("jail_state", name=[name], command=["sleep", "100000"], mounts=[volume], state="started")
    shell(name, f"export DEBIAN_FRONTEND=noninteractive; {_SWAP}")
    if init == "busybox":
        given = {"/etc/inittab": _BUSYBOX_TABLE}
        shell(name, "ln -sf /bin/busybox /sbin/init")
    else:
        given = {"/etc/init.d/greeter": _INIT_SCRIPT.replace("$NAME_OF_INIT", init)}
    for path, text in given.items():
        jail("exec", name, "--", "sh", "-c", f"cat > {path}; chmod 755 {path}", given=text.encode())
    if init != "busybox":
        shell(name, "update-rc.d greeter defaults")
    return init, name


def test_other_inits_start_and_stop_in_good_order(other: tuple[str, str]) -> None:
    """What they are to start runs, nothing but SIGKILL at the end is owed to us, and what they are to do at the end is
    done."""
    init, name = other
    module("jail_state", name=[name], command=[], mounts=[], state="restarted")
    _until(lambda: _exists(name, "/run/hello"))
    assert os.path.basename(inside(name, "readlink", "/proc/1/exe").strip()) in ("init", "busybox")
    if init == "sysvinit":
        _until(lambda: inside(name, "runlevel").strip() == "N 2")
    if init == "openrc":
        assert "greeter" in inside(name, "rc-status", "--nocolor", "default")
    assert not live.group_of(name).is_handed_over()
    before = time.monotonic()
    module("jail_state", name=[name], stop_timeout=_SECONDS, state="stopped")
    assert time.monotonic() - before < _SECONDS
    module("jail_state", name=[name], command=["sleep", "100000"], state="started")
    assert inside(name, "cat", "/var/goodbye") == f"{init}\n"
