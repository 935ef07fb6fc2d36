# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to one jail is that jail's: of its own from the first start on, changed live, and written by nobody's
links."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import (
    converge,
    identity,
    live,
    rootfs,
    state,
    stop,
)
from ansible_collections.cellblock.jails.plugins.module_utils.jail.facet import Facet
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import hosttools, storage, templates
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.settings import host_keys
from ansible_collections.cellblock.jails.tests.integration.support import evidence
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    actions,
    inside,
    jail,
    module,
    options_changed,
    pid_of,
    refused,
    shell,
)

Names = Callable[[int], list[str]]

SKELETON: dict[str, Any] = {"method": "skeleton", "binaries": ["busybox"]}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPtWnMB0N8sB0xvq9Kq2 {}@example"
_FURNISH = """
mkdir -p /etc/apt/sources.list.d /etc/default /usr/share/zoneinfo/Europe /usr/sbin
for zone in UTC Europe/Berlin Europe/Paris; do echo TZif2 > /usr/share/zoneinfo/$zone; done
"""
_SERVER = ": > /usr/sbin/sshd; chmod 755 /usr/sbin/sshd"
_FILES = {
    "authorized_keys": "/root/.ssh/authorized_keys",
    "fstab": "/etc/fstab",
    "hosts": "/etc/hosts",
    "locale": "/etc/locale.conf",
    "machine_id": "/etc/machine-id",
    "package_sources": "/etc/apt/sources.list",
    "timezone": "/etc/timezone",
}


def values(word: str, zone: str) -> dict[str, Any]:
    """A value for each option, with a word in each that can hold one."""
    return {
        "authorized_keys": [KEY.format(word)],
        "fstab": [f"tmpfs /{word} tmpfs size=1m 0 0"],
        "hosts": [f"192.0.2.1 {word}.example"],
        "locale": f"{word}_XX.UTF-8",
        "machine_id": format(sum(word.encode()), "032x"),
        "package_sources": [f"deb http://{word}.example/debian bookworm main"],
        "timezone": zone,
    }


ONE, OTHER = values("one", "Europe/Berlin"), values("other", "Europe/Paris")


@pytest.fixture(autouse=True)
def reaped() -> Iterator[None]:
    """A jail that is started here, not by a module, has us for a parent: no test leaves a child."""
    yield
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


@pytest.fixture
def furnished(box: str) -> str:
    """A running jail whose tree has all that the options need, and no SSH server."""
    shell(box, _FURNISH)
    return box


def restart(name: str) -> None:
    module("jail_state", name=[name], state="restarted")


def content(name: str) -> dict[str, str]:
    """The files of the options, inside."""
    return {option: inside(name, "cat", path) for option, path in _FILES.items()}


# Of its own.


def test_two_clones_differ_in_everything(names: Names) -> None:
    """Host name, hosts, machine id and host keys come by themselves, all else as it was said; nothing of any of it is
    in the template, which is not written to."""
    one, other = names(2)
    module("jail_rootfs", jails=[{"name": name, **SKELETON} for name in (one, other)])
    module("jail_state", name=[one, other], command=["sleep", "100000"], state="started")
    template = storage.describe(one)
    assert template is not None
    assert template.lower is not None
    before = evidence.files(template.lower)
    for name in (one, other):
        shell(name, f"{_FURNISH}{_SERVER}")
    module("jail_rootfs", jails=[{"name": one, **ONE}, {"name": other, **OTHER}])
    module("jail_state", name=[one, other], state="restarted")
    mine, theirs = content(one), content(other)
    assert not [option for option in _FILES if mine[option] == theirs[option]]
    for path in ("/etc/hostname", *(f"/etc/ssh/ssh_host_{kind}_key" for kind in host_keys.TYPES)):
        assert inside(one, "cat", path) != inside(other, "cat", path), path
    assert one in mine["hosts"]
    assert other not in mine["hosts"]
    assert inside(one, "readlink", "/etc/localtime") == "../usr/share/zoneinfo/Europe/Berlin\n"
    assert evidence.files(template.lower) == before
    words = [word for name in (one, other) for word in (name, "one.example", "other.example", "PRIVATE KEY")]
    for file in Path(template.lower).rglob("*"):
        if file.is_file() and not file.is_symlink():
            data = file.read_bytes()
            assert not [word for word in words if word.encode() in data], file


def test_a_first_start_fills_in_what_was_not_said(name: str) -> None:
    """A machine id, the host name, hosts. They stay as they are over restarts and other options."""
    module("jail_rootfs", name=name, **SKELETON)
    module("jail_state", name=[name], command=["sleep", "100000"], hostname="web1.example", state="started")
    first = {path: inside(name, "cat", path) for path in ("/etc/machine-id", "/etc/hostname", "/etc/hosts")}
    assert re.fullmatch(r"[0-9a-f]{32}\n", first["/etc/machine-id"])
    assert inside(name, "stat", "-c", "%a %u %g", "/etc/machine-id") == "444 0 0\n"
    assert first["/etc/hostname"] == "web1.example\n"
    assert first["/etc/hosts"].splitlines() == [
        "127.0.0.1 localhost",
        "::1 localhost ip6-localhost ip6-loopback",
        "127.0.1.1 web1.example web1",
    ]
    restart(name)
    assert {path: inside(name, "cat", path) for path in first} == first
    for option, path in _FILES.items():
        if path not in first:
            assert jail("exec", name, "--", "test", "-e", path).returncode == 1, option


def test_what_was_said_of_a_stopped_jail_holds_from_its_next_start(furnished: str) -> None:
    """Recorded, and written when the jail starts, with the modes that programs ask for; then nothing is left to do."""
    module("jail_state", name=[furnished], state="stopped")
    result = module("jail_rootfs", name=furnished, **ONE)
    assert options_changed(result, furnished) == [(option, "record") for option in sorted(ONE)]
    assert not module("jail_rootfs", name=furnished, **ONE)["changed"]
    module("jail_state", name=[furnished], state="started")
    assert not module("jail_rootfs", name=furnished, **ONE)["changed"]
    for option, text in content(furnished).items():
        value = ONE[option] if isinstance(ONE[option], str) else ONE[option][0]
        assert value in text, option
    modes = "stat -c '%a %u %g' /root/.ssh /root/.ssh/authorized_keys /etc/hosts /etc/fstab"
    assert shell(furnished, modes).splitlines() == ["700 0 0", "600 0 0", "644 0 0", "644 0 0"]


# Live.


def test_a_running_jail_is_changed_live(furnished: str) -> None:
    """Under the same first process; check mode foretells it; a second run changes nothing; information shows it."""
    pid = pid_of(furnished)
    module("jail_rootfs", name=furnished, **ONE)
    before = content(furnished), evidence.everything()
    foretold = module("jail_rootfs", check=True, name=furnished, **OTHER)
    assert (content(furnished), evidence.everything()) == before
    result = module("jail_rootfs", name=furnished, **OTHER)
    assert foretold["jails"] == result["jails"]
    expected = [(option, ONE[option], OTHER[option], "live") for option in sorted(OTHER)]
    assert actions(result, furnished) == expected
    assert result["jails"][furnished]["restart_required"] == []
    assert not module("jail_rootfs", name=furnished, **OTHER)["changed"]
    assert pid_of(furnished) == pid
    shown = module("jail_info", name=[furnished])["jails"][furnished]["rootfs"]
    assert {option: shown[option] for option in OTHER} == OTHER
    restart(furnished)
    assert not module("jail_rootfs", name=furnished, **OTHER)["changed"]


def test_drift_is_reported_and_repaired_where_an_option_was_given(furnished: str) -> None:
    """What the jail's root has changed is what the report begins with; what nobody gave stays as root has it."""
    given: dict[str, Any] = {
        option: ONE[option] for option in ("authorized_keys", "hosts", "package_sources", "timezone")
    }
    module("jail_rootfs", name=furnished, **given)
    own = "machine-id fstab locale.conf"
    shell(
        furnished,
        f"echo '{KEY.format('intruder')}' >> /root/.ssh/authorized_keys; echo '192.0.2.66 evil' > /etc/hosts;"
        "echo 'deb http://evil.example/ x main' > /etc/apt/sources.list.d/evil.list; rm /etc/localtime;"
        f"for file in {own}; do rm -f /etc/$file; echo own > /etc/$file; done",
    )
    result = module("jail_rootfs", name=furnished, **given)
    drifted = {option: before for option, before, _after, _how in actions(result, furnished)}
    assert drifted == {
        "authorized_keys": [*given["authorized_keys"], KEY.format("intruder")],
        "hosts": ["192.0.2.66 evil"],
        "package_sources": [*given["package_sources"], "/etc/apt/sources.list.d/evil.list"],
        "timezone": None,
    }
    assert not module("jail_rootfs", name=furnished, **given)["changed"]
    assert "intruder" not in inside(furnished, "cat", "/root/.ssh/authorized_keys")
    assert inside(furnished, "ls", "/etc/apt/sources.list.d") == ""
    module("jail_rootfs", name=furnished, **SKELETON)
    assert shell(furnished, f"cd /etc && cat {own}") == "own\nown\nown\n"


def test_empty_lists_take_everything_away(furnished: str) -> None:
    """They are values like any others."""
    module("jail_rootfs", name=furnished, **ONE)
    empty: dict[str, Any] = {"authorized_keys": [], "fstab": [], "hosts": [], "package_sources": []}
    result = module("jail_rootfs", name=furnished, **empty)
    assert {option for option, _how in options_changed(result, furnished)} == set(empty)
    assert shell(furnished, "cat /root/.ssh/authorized_keys /etc/fstab /etc/apt/sources.list") == ""
    assert not module("jail_rootfs", name=furnished, **empty)["changed"]


def test_a_new_host_name_is_in_all_its_places(furnished: str) -> None:
    """Changed live, it is in both files, and the hosts that were given are still as given."""
    given: dict[str, Any] = {"hosts": ["192.0.2.1 db"]}
    module("jail_rootfs", name=furnished, **given)
    module("jail_state", name=[furnished], hostname="renamed.example")
    assert inside(furnished, "cat", "/etc/hostname") == "renamed.example\n"
    assert inside(furnished, "cat", "/etc/hosts").splitlines()[2:] == [
        "127.0.1.1 renamed.example renamed",
        "192.0.2.1 db",
    ]
    assert not module("jail_rootfs", name=furnished, **given)["changed"]
    restart(furnished)
    assert not module("jail_rootfs", name=furnished, **given)["changed"]


def test_a_jail_is_not_kept_from_starting_by_what_it_lacks(name: str) -> None:
    """Without the zone that was asked for it runs, and the task says what is missing; when that was installed inside,
    the next run makes the zone hold."""
    module("jail_rootfs", name=name, timezone="Europe/Berlin", **SKELETON)
    message = refused("jail_state", name=[name], command=["sleep", "100000"], state="started")
    assert re.search(r"it runs, but timezone: .* has no time zone Europe/Berlin; install tzdata", message)
    assert live.find(name) is not None
    assert not module("jail_state", name=[name], state="started")["changed"]
    assert "install tzdata" in refused("jail_rootfs", name=name, timezone="Europe/Berlin")
    shell(name, _FURNISH)
    assert options_changed(module("jail_rootfs", name=name, timezone="Europe/Berlin"), name) == [("timezone", "live")]
    restart(name)


def test_a_tree_without_a_package_manager(box: str) -> None:
    """Sources of packages are refused, and the jail runs on."""
    assert "package_sources: its root file system has no package manager" in refused(
        "jail_rootfs", name=box, package_sources=ONE["package_sources"]
    )
    assert "it runs, but package_sources:" in refused("jail_state", name=[box], state="restarted")
    assert pid_of(box)


def test_a_removed_root_file_system_leaves_no_keys_to_the_next(name: str) -> None:
    """Also when the run that removed it was killed in the middle: who could log in to the old one cannot to the new."""
    module("jail_rootfs", name=name, authorized_keys=ONE["authorized_keys"], **SKELETON)
    storage.remove(name)
    module("jail_rootfs", name=name, **SKELETON)
    module("jail_state", name=[name], command=["sleep", "100000"], state="started")
    assert jail("exec", name, "--", "test", "-e", "/root/.ssh").returncode == 1


# Host keys.


def fingerprints(name: str) -> dict[str, str]:
    """Of the private host keys in a jail, by type, as ssh-keygen computes them; each public one has to be its other
    half."""
    found = {}
    for kind in inside(name, "ls", "/etc/ssh").split():
        match = re.fullmatch(r"ssh_host_(.*)_key", kind)
        if match:
            private = inside(name, "cat", f"/etc/ssh/{kind}")
            public = derived(private)
            assert inside(name, "cat", f"/etc/ssh/{kind}.pub").split()[:2] == public.split()[:2]
            assert inside(name, "stat", "-c", "%a %u %g", f"/etc/ssh/{kind}") == "600 0 0\n"
            found[match[1]] = public
    return found


def derived(private: str) -> str:
    """The public key that ssh-keygen(1) finds in a private one."""
    memory = os.memfd_create("key")
    try:
        os.write(memory, private.encode())
        os.fchmod(memory, 0o600)
        done = subprocess.run(
            ["ssh-keygen", "-y", "-f", f"/proc/self/fd/{memory}"], pass_fds=[memory], capture_output=True, check=True
        )
        return done.stdout.decode()
    finally:
        os.close(memory)


def test_a_server_gets_keys_once(box: str) -> None:
    """A jail without an SSH server gets none; with one, keys of each type at the next start, which are its own and
    stay. One that it has of its own keeps ours away."""
    assert jail("exec", box, "--", "test", "-e", "/etc/ssh").returncode == 1
    shell(box, _SERVER)
    restart(box)
    first = fingerprints(box)
    assert set(first) == {"ecdsa", "ed25519", "rsa"}
    assert f" root@{box}\n" in inside(box, "cat", "/etc/ssh/ssh_host_rsa_key.pub")
    restart(box)
    assert fingerprints(box) == first
    shell(box, "cd /etc/ssh; rm ssh_host_ecdsa_key* ssh_host_rsa_key*")
    restart(box)
    assert fingerprints(box) == {"ed25519": first["ed25519"]}
    assert not [mount for mount in Path("/proc/mounts").read_text().splitlines() if "ssh" in mount]


def test_chosen_types(box: str) -> None:
    """Live and at a start: missing ones are made, others removed, those that are there stay; none at all can be chosen,
    and no program is looked for then."""
    result = module("jail_rootfs", name=box, ssh_host_keys=["rsa", "ed25519"])
    assert actions(result, box) == [("ssh_host_keys", [], ["ed25519", "rsa"], "live")]
    first = fingerprints(box)
    assert set(first) == {"ed25519", "rsa"}
    assert not module("jail_rootfs", name=box, ssh_host_keys=["ed25519", "rsa"])["changed"]
    result = module("jail_rootfs", name=box, ssh_host_keys=["ed25519", "ecdsa"])
    assert actions(result, box) == [("ssh_host_keys", ["ed25519", "rsa"], ["ecdsa", "ed25519"], "live")]
    second = fingerprints(box)
    assert set(second) == {"ed25519", "ecdsa"}
    assert second["ed25519"] == first["ed25519"]
    shell(box, "rm /etc/ssh/ssh_host_ecdsa_key")
    restart(box)
    assert fingerprints(box)["ed25519"] == first["ed25519"]
    assert set(fingerprints(box)) == {"ed25519", "ecdsa"}
    shell(box, _SERVER)
    module("jail_state", name=[box], state="stopped")
    module("jail_rootfs", name=box, ssh_host_keys=[])
    module("jail_state", name=[box], state="started")
    assert fingerprints(box) == {}
    assert not module("jail_rootfs", name=box, ssh_host_keys=[])["changed"]


def test_renewed_by_hand(furnished: str) -> None:
    """``jail renew`` of a stopped jail: its next start makes another machine id and other keys, and forgets the id
    that was chosen; all else stays. A start after that changes nothing."""
    shell(furnished, f"{_SERVER}; echo data > /root/data")
    module("jail_rootfs", name=furnished, ssh_host_keys=["ecdsa", "ed25519"], **ONE)
    before, keys = content(furnished), fingerprints(furnished)
    assert b"it runs; stop it first" in jail("renew", furnished).stderr
    module("jail_state", name=[furnished], state="stopped")
    assert jail("renew", furnished).returncode == 0
    module("jail_state", name=[furnished], state="started")
    after = content(furnished)
    assert {option for option in _FILES if after[option] != before[option]} == {"machine_id"}
    assert re.fullmatch(r"[0-9a-f]{32}\n", after["machine_id"])
    renewed = fingerprints(furnished)
    assert set(renewed) == set(keys)
    assert not set(renewed.values()) & set(keys.values())
    assert inside(furnished, "cat", "/root/data") == "data\n"
    restart(furnished)
    assert content(furnished) == after
    assert fingerprints(furnished) == renewed
    assert b"no such jail" in jail("renew", "nobody").stderr


def test_a_start_that_was_killed_after_renewing_renews_once(furnished: str) -> None:
    """The order is still there then; its work is found done."""
    shell(furnished, _SERVER)
    module("jail_state", name=[furnished], state="stopped")
    identity.renew(furnished)
    order = os.path.join(layout.desired(furnished), "renewal")
    kept = Path(order).read_bytes()
    module("jail_state", name=[furnished], state="started")
    assert not os.path.exists(order)
    machine_id, keys = inside(furnished, "cat", "/etc/machine-id"), fingerprints(furnished)
    Path(order).write_bytes(kept)
    restart(furnished)
    assert (inside(furnished, "cat", "/etc/machine-id"), fingerprints(furnished)) == (machine_id, keys)


def test_a_host_without_ssh_keygen(box: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A jail with a server runs, and the package to install is named; one without does not need it."""
    monkeypatch.setattr(hosttools, "_SEARCH_PATH", "/nonexistent")
    again: dict[str, Any] = {"name": box, "state": "restarted"}
    assert converge.converge(state.FACET, [again], False)[box].error is None
    shell(box, _SERVER)
    error = converge.converge(state.FACET, [again], False)[box].error
    assert error == "it runs, but ssh-keygen is not installed on the host; install the package openssh-client there"
    assert pid_of(box)


# Hostile trees.


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host with everything that a hostile link could lead to; it has to stay as it is."""
    top = tmp_path / "canary"
    for path in (
        *(path.lstrip("/") for path in _FILES.values()),
        *(
            "etc/hostname",
            "etc/localtime",
            "etc/default/locale",
            "etc/ssh/ssh_host_ed25519_key",
            "etc/ssh/ssh_host_dsa_key",
        ),
        *("etc/apt/sources.list.d/host.list", "usr/share/zoneinfo/Europe/Berlin", "usr/sbin/sshd"),
    ):
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text("host\n", encoding="utf-8")
    before = evidence.files(str(top))
    yield top
    assert evidence.files(str(top)) == before


_HOSTILE = (
    "etc",
    "etc/apt",
    "etc/apt/sources.list",
    "etc/apt/sources.list.d",
    "etc/default",
    "etc/default/locale",
    "etc/fstab",
    "etc/hostname",
    "etc/hosts",
    "etc/locale.conf",
    "etc/localtime",
    "etc/machine-id",
    "etc/ssh",
    "etc/ssh/ssh_host_ed25519_key",
    "etc/timezone",
    "root",
    "root/.ssh",
    "root/.ssh/authorized_keys",
    "usr/share/zoneinfo",
    "usr/share/zoneinfo/Europe/Berlin",
)
_WAYS = ("absolute", "climbing", "through-proc", "to-root")
_WISH: dict[str, Any] = {**ONE, "ssh_host_keys": ["ed25519"]}


def _target(canary: Path, place: str, way: str) -> str:
    if way == "to-root":
        return "/"
    prefix = {"absolute": "", "climbing": "/../../../../../../../../../..", "through-proc": "/proc/1/root"}[way]
    return f"{prefix}{canary}/{place}"


def _replace(top: Path, place: str, target: str) -> None:
    path = top / place
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


@pytest.fixture
def stopped(furnished: str) -> tuple[str, Path]:
    """A stopped jail that has everything, and the directory of the host in which its tree can be changed."""
    shell(furnished, _SERVER)
    module("jail_rootfs", name=furnished, **_WISH)
    module("jail_state", name=[furnished], state="stopped")
    found = storage.describe(furnished)
    assert found is not None
    assert found.writable is not None
    return furnished, Path(found.writable)


def converged(facet: Facet, name: str, **options: Any) -> str | None:
    """What the module does for one jail; its error."""
    return converge.converge(facet, [{"name": name, **options}], False)[name].error


@pytest.mark.parametrize("turn", [0, 2])
def test_a_start_writes_through_no_link(stopped: tuple[str, Path], canary: Path, turn: int) -> None:
    """With each of these places a link to its like on the host, in turn, the jail starts, or does not, or starts and
    says what could not be written; nothing of the host is written, removed or taken into the jail. (A program that goes
    by the name gets to the host: the control.)"""
    name, top = stopped
    for number, place in enumerate(_HOSTILE):
        kept = top.with_name("kept")
        subprocess.run(["cp", "-a", "--", top, kept], check=True)
        way = _WAYS[(number + turn) % len(_WAYS)]
        _replace(top, place, _target(canary, place, way))
        if way in ("absolute", "climbing"):
            assert os.path.samefile(top / place, canary / place), place
        before = evidence.files(str(canary))
        assert converged(rootfs.FACET, name, **{**_WISH, "fstab": [f"x /{place} y z 0 0"]}) is None
        error = converged(state.FACET, name, state="started")
        assert evidence.files(str(canary)) == before, (place, way)
        assert error is None or re.match(r"it runs, but|starting failed: /etc", error), (place, way, error)
        if live.find(name) is not None:
            found = shell(name, "cat /root/.ssh/* /etc/fstab /etc/hosts /etc/ssh/* 2>/dev/null || true")
            assert "host\n" not in found.splitlines(keepends=True), (place, way)
            stop.stop_as_desired(name)
        shutil.rmtree(top)
        kept.rename(top)


@pytest.mark.parametrize("turn", [1, 3])
def test_a_live_change_writes_through_no_link(furnished: str, canary: Path, turn: int) -> None:
    """The same, with links made by the jail's root while it runs: each option is written inside or refused by name."""
    shell(furnished, f"{_SERVER}; cp -a /etc /etc.kept; cp -a /root /root.kept; cp -a /usr/share /usr/share.kept")
    for number, place in enumerate(_HOSTILE):
        way = _WAYS[(number + turn) % len(_WAYS)]
        target = _target(canary, place, way)
        shell(furnished, f"mkdir -p $(dirname /{place}); rm -rf /{place}; ln -s '{target}' /{place}")
        before = evidence.files(str(canary))
        errors = [converged(rootfs.FACET, furnished, **{option: value}) for option, value in _WISH.items()]
        for error in filter(None, errors):
            assert re.match(r"/(etc|root)|package_sources: its|timezone: its", error), (place, way, error)
        assert evidence.files(str(canary)) == before, (place, way)
        shell(furnished, "for place in etc root usr/share; do rm -rf /$place; cp -a /$place.kept /$place; done")
    assert converged(rootfs.FACET, furnished, **_WISH) is None
    assert not module("jail_rootfs", name=furnished, **_WISH)["changed"]


def test_what_is_no_file_is_replaced_or_named(furnished: str) -> None:
    """A FIFO that nobody writes to hangs nobody, and a directory is named; a huge file costs a bounded read."""
    for path in ("/etc/fstab", "/etc/hosts", "/root/.ssh/authorized_keys", "/etc/machine-id"):
        shell(furnished, f"mkdir -p /root/.ssh; rm -rf {path}; mkfifo {path}")
    module("jail_rootfs", name=furnished, **ONE)
    assert not module("jail_rootfs", name=furnished, **ONE)["changed"]
    shell(furnished, "rm /etc/fstab; mkdir -p /etc/fstab/full; head -c 30000000 /dev/zero > /etc/hosts")
    message = refused("jail_rootfs", name=furnished, fstab=ONE["fstab"])
    assert "/etc/fstab cannot be written" in message
    assert actions(module("jail_rootfs", name=furnished, hosts=[]), furnished)[0][2] == []
    module("jail_rootfs", name=furnished, package_sources=[])
    shell(furnished, "cd /etc/apt/sources.list.d; i=0; while [ $i -lt 3000 ]; do : > $i.list; i=$((i+1)); done")
    before = actions(module("jail_rootfs", check=True, name=furnished, package_sources=[]), furnished)[0][1]
    assert len(before) == 1000


def test_templates_keep_nothing(shared_box: str) -> None:
    """What a skeleton is built with: no host name, no hosts, no resolver, an empty machine id."""
    found = storage.describe(shared_box)
    assert found is not None
    top = Path(templates.tree(found.template))
    assert (top / "etc/machine-id").read_bytes() == b""
    assert not [name for name in ("hostname", "hosts", "resolv.conf", "fstab") if os.path.lexists(top / "etc" / name)]
