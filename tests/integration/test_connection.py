# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's own modules in jails, by the connection plugin: of this host, and of one that is reached by SSH."""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process
from ansible_collections.cellblock.jails.tests.integration.support import sshd
from ansible_collections.cellblock.jails.tests.integration.support.boxes import fresh_name
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    PYTHON,
    ROOT,
    attempt,
    jail,
    module,
    shell,
)
from ansible_collections.cellblock.jails.tests.integration.support.commands import succeed
from ansible_collections.cellblock.jails.tests.integration.support.connect import connected
from ansible_collections.cellblock.jails.tests.integration.support.guests import make_guests
from ansible_collections.cellblock.jails.tests.integration.support.processes import command_line

_SECONDS = 30.0
_MIB = 1 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[sshd.Server]:
    """An SSH server on this host."""
    with sshd.serving() as running:
        yield running


@pytest.fixture(scope="module")
def guest() -> Iterator[str]:
    """A jail with a Python."""
    name = fresh_name()
    make_guests([name])
    yield name
    attempt("jail_state", name=[name], state="absent")


@pytest.fixture(params=["local", "ssh"])
def variables(request: pytest.FixtureRequest, guest: str, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What Ansible has to know of the jail, by each way to its host."""
    found: dict[str, Any] = {
        "inventory_hostname": "guest",
        "ansible_connection": "cellblock.jails.jail",
        "ansible_jail_name": guest,
        "ansible_jail_transport": request.param,
        "ansible_python_interpreter": PYTHON,
    }
    if request.param == "ssh":
        server: sshd.Server = request.getfixturevalue("server")
        found |= {**server.variables(), "ansible_control_path_dir": str(tmp_path / "cp")}
    yield found
    connected(found, ("reset",))


def play(variables: dict[str, Any], folder: Path, tasks: str, **environment: str) -> str:
    """Run tasks in the jail, which must succeed; what Ansible printed."""
    status, text = attempted(variables, folder, tasks, **environment)
    assert status == 0, text
    return text


def attempted(variables: dict[str, Any], folder: Path, tasks: str, **environment: str) -> tuple[int, str]:
    """Run tasks in the jail; Ansible's exit status and what it printed."""
    given = {name: value for name, value in variables.items() if name != "inventory_hostname"}
    inventory, book = folder / "hosts.json", folder / "play.yml"
    inventory.write_text(json.dumps({"all": {"hosts": {"guest": given}}}))
    head = "- hosts: guest\n  gather_facts: false\n  tasks:\n"
    book.write_text(head + textwrap.indent(textwrap.dedent(tasks), "    "), encoding="utf-8")
    return ran(inventory, book, **environment)


def ran(inventory: Path, book: Path, **environment: str) -> tuple[int, str]:
    """The same of a play that is written down."""
    program = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
    done = subprocess.run(
        [program, "-i", str(inventory), str(book)],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("pipelining", ["true", "false"])
def test_modules_work(variables: dict[str, Any], guest: str, tmp_path: Path, pipelining: str) -> None:
    """Facts, files each way, users, another user's work, and what runs on while the play does something else."""
    home = f"/srv/{variables['ansible_jail_transport']}-{pipelining}"
    (tmp_path / "template.j2").write_text("{{ ansible_facts['hostname'] }}\n")
    tasks = f"""
        - ansible.builtin.setup: {{gather_subset: [min]}}
        - ansible.builtin.copy: {{content: "a\\nb", dest: {home}/copied, mode: "0640"}}
        - ansible.builtin.template: {{src: {tmp_path}/template.j2, dest: {home}/rendered, mode: "0644"}}
        - ansible.builtin.fetch: {{src: {home}/rendered, dest: {tmp_path}/fetched, flat: true}}
        - ansible.builtin.user: {{name: joe, home: {home}/joe, shell: /bin/sh, groups: []}}
        - ansible.builtin.copy: {{content: joes, dest: {home}/joe/file, mode: "0600"}}
          become: true
          become_user: joe
          become_method: ansible.builtin.su
        - ansible.builtin.command: id -un
          changed_when: false
          become: true
          become_user: joe
          become_method: ansible.builtin.su
          register: who
        - ansible.builtin.shell: sleep 2; echo late
          changed_when: false
          async: 60
          poll: 1
          register: late
        - ansible.builtin.assert: {{that: ["late.stdout == 'late'", "who.stdout == 'joe'"]}}
    """
    shell(guest, f"mkdir {home}")
    play(variables, tmp_path, tasks, ANSIBLE_PIPELINING=pipelining)
    assert (tmp_path / "fetched").read_text() == f"{guest}\n"
    assert shell(guest, f"cd {home}; cat copied rendered joe/file") == f"a\nb{guest}\njoes"
    assert shell(guest, f"cd {home}; stat -c '%a %U' copied joe/file") == "640 root\n600 joe\n"
    # What runs on after its task clears up after itself, at its own pace.
    wait_for(lambda: shell(guest, "ls -A /root/.ansible/tmp") == "")
    shell(guest, "userdel joe")


def test_names_that_nobody_said(guest: str, tmp_path: Path) -> None:
    """A jail is called as its host in the inventory, also where a task is delegated to it: never is another entered."""
    inventory, book = tmp_path / "hosts.json", tmp_path / "play.yml"
    given = {"ansible_connection": "cellblock.jails.jail", "ansible_jail_transport": "local"}
    inventory.write_text(json.dumps({"all": {"hosts": {guest: given, "another": given}}}))
    book.write_text(f"""
- hosts: another
  gather_facts: false
  tasks:
    - ansible.builtin.raw: hostname
      delegate_to: {guest}
      register: delegated
- hosts: {guest}
  gather_facts: false
  tasks:
    - ansible.builtin.raw: hostname
      register: own
    - ansible.builtin.assert:
        that:
          - own.stdout.strip() == '{guest}'
          - hostvars['another'].delegated.stdout.strip() == '{guest}'
""")
    status, text = ran(inventory, book)
    assert status == 0, text


NAMES = [
    "plain",
    "two words",
    'it\'s "quoted" $HOME `id` \\ ;&|*?',
    "-n",
    "--help",
    "new\nline",
    "ünïcödé-\u2603",
    os.fsdecode(b"latin-\xe9\xff"),
    "%s%n",
    "n" * 200,
]


def test_files_of_any_name_and_any_bytes(variables: dict[str, Any], guest: str, tmp_path: Path) -> None:
    """They arrive as they are, each way; a name that begins with a dash is no option, with or without a directory."""
    data = bytes(range(256)) * 300 + b"\n"
    source = tmp_path / "source"
    source.write_bytes(data)
    calls: list[tuple[Any, ...]] = [("exec_command", "mkdir -p /srv/names")]
    for number, name in enumerate(NAMES):
        (tmp_path / str(number)).mkdir()
        target = os.fsdecode(os.fsencode(tmp_path / str(number)) + b"/" + os.fsencode(name))
        calls += [("put_file", str(source), f"/srv/names/{name}"), ("fetch_file", f"/srv/names/{name}", target)]
    calls += [("put_file", str(source), "-relative"), ("fetch_file", "-relative", str(tmp_path / "relative"))]
    answers = connected(variables, *calls)
    assert answers[1:] == [None] * (len(calls) - 1)
    for number, name in enumerate(NAMES):
        assert (tmp_path / str(number) / name).read_bytes() == data
    assert (tmp_path / "relative").read_bytes() == data
    digests = shell(guest, "cd /srv/names && sha256sum -- * | cut -d ' ' -f 1 | tr -d '\\\\' | sort -u; ls /-relative")
    assert digests == f"{hashlib.sha256(data).hexdigest()}\n/-relative\n"
    listed = jail("exec", guest, "--", "sh", "-c", "cd /srv/names && printf '%s\\0' *; rm -r /srv/names /-relative")
    assert sorted(listed.stdout.split(b"\0")[:-1]) == sorted(os.fsencode(name) for name in NAMES)


def test_large_files_pass_through_and_not_through_memory(variables: dict[str, Any], guest: str, tmp_path: Path) -> None:
    """100 MiB each way, with less memory than that for the process that carries them."""
    source, back = tmp_path / "source", tmp_path / "back"
    with source.open("wb") as file:
        for _each in range(100):
            file.write(os.urandom(_MIB))
    answers = connected(
        variables, ("put_file", str(source), "/srv/large"), ("fetch_file", "/srv/large", str(back)), memory=90 * _MIB
    )
    assert answers == [None, None]
    assert filecmp.cmp(source, back, shallow=False)
    shell(guest, "rm /srv/large")


def test_empty_files(variables: dict[str, Any], guest: str, tmp_path: Path) -> None:
    """They are files too."""
    (tmp_path / "empty").touch()
    fetched = tmp_path / "fetched"
    shell(guest, "echo old > /srv/empty")
    calls = [("put_file", str(tmp_path / "empty"), "/srv/empty"), ("fetch_file", "/srv/empty", str(fetched))]
    assert connected(variables, *calls) == [None, None]
    assert fetched.read_bytes() == b""


def test_no_file_of_the_controller_is_open_in_the_jail(variables: dict[str, Any], guest: str, tmp_path: Path) -> None:
    """A jail whose ``cat`` is its own work could keep what it is given: that is one end of a pipe. (The control is a
    command by hand, which has the file that it is given.)"""
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_text("data")
    shell(guest, f"mkdir -p /usr/local/bin; printf '%s' '{_CURIOUS}' >/usr/local/bin/cat; chmod 755 /usr/local/bin/cat")
    try:
        with source.open("rb") as file:
            subprocess.run(["jail", "exec", guest, "--", "cat"], stdin=file, capture_output=True, check=True)
        assert str(source) in _seen(guest)
        calls = [("put_file", str(source), "/srv/file"), ("fetch_file", "/srv/file", str(back))]
        assert connected(variables, *calls) == [None, None]
        (came, _file), (_file, went) = (each.split() for each in _seen(guest).splitlines())
        assert came.startswith("pipe:")
        assert went.startswith("pipe:")
        assert back.read_text() == "data"
    finally:
        shell(guest, "rm -f /usr/local/bin/cat /srv/file")


_CURIOUS = """#!/bin/sh
echo $(readlink /proc/$$/fd/0 /proc/$$/fd/1) >>/srv/seen
exec /bin/cat "$@"
"""


def _seen(guest: str) -> str:
    """What that has seen since the last time."""
    return shell(guest, "/bin/cat /srv/seen; rm /srv/seen")


def test_a_link_leads_nowhere_else(variables: dict[str, Any], guest: str, tmp_path: Path) -> None:
    """A name in the jail is looked up there, and a link as well: the host's file of that name stays as it is."""
    canary, source = tmp_path / "canary", tmp_path / "source"
    canary.write_text("the host's")
    source.write_text("new")
    shell(guest, f"ln -s {canary} /srv/link; ln -s /proc/1/root{canary} /srv/magic")
    for link in ("/srv/link", "/srv/magic"):
        (error,) = connected(variables, ("put_file", str(source), link))
        assert error[0] == "AnsibleError"
        (error,) = connected(variables, ("fetch_file", link, str(tmp_path / "stolen")))
        assert error[0] == "AnsibleError"
    assert canary.read_text() == "the host's"
    assert not (tmp_path / "stolen").exists()
    shell(guest, f"mkdir -p {tmp_path}; rm /srv/magic")
    assert connected(variables, ("put_file", str(source), "/srv/link")) == [None]
    assert shell(guest, f"cat {canary}; rm /srv/link") == "new"
    assert canary.read_text() == "the host's"


def test_files_that_cannot_be_transferred(variables: dict[str, Any], tmp_path: Path) -> None:
    """The error has the name and the reason, and is one of a task, not of the connection."""
    source = tmp_path / "source"
    source.touch()
    for call, said in (
        (("put_file", str(source), "/no/such/directory"), "'/no/such/directory' cannot be transferred"),
        (("fetch_file", "/no/such/file", str(tmp_path / "x")), "'/no/such/file' cannot be transferred"),
        (("fetch_file", "/etc", str(tmp_path / "x")), "Is a directory"),
    ):
        (error,) = connected(variables, call)
        assert error[0] == "AnsibleError"
        assert said in error[1]
        assert "\n" not in error[1]
        assert not (tmp_path / "x").exists()
    (error,) = connected(variables, ("put_file", str(tmp_path / "nothing"), "/srv/x"))
    assert error[0] == "AnsibleFileNotFound"


def test_statuses_and_outputs_are_the_commands_own(variables: dict[str, Any]) -> None:
    """Also those by which ssh and ``jail exec`` mean themselves, and outputs without a last newline; apart as long as
    there is no terminal."""
    for status in (0, 1, 2, 125, 126, 127, 137, 254, 255):
        given = b"in\0put\xff"
        command = f"cat; printf oops >&2; exit {status}"
        assert connected(variables, ("exec_command", command, given)) == [(status, given, b"oops")]
    assert connected(variables, ("exec_command", "printf out; printf err >&2; exit 255", b"", False)) == [
        (255, b"out", b"err")
    ]
    status, output, errors = connected(variables, ("exec_command", "echo out; exit 255"))[0]
    assert (status, output.split(), errors.strip().startswith((b"Shared", b"Connection")) or errors == b"") == (
        255,
        [b"out"],
        True,
    )


def test_a_closed_connection_is_opened_again(variables: dict[str, Any], guest: str, tmp_path: Path) -> None:
    """``meta: reset_connection`` in a play: what comes then is a new connection."""
    tasks = """
        - ansible.builtin.ping:
        - ansible.builtin.meta: reset_connection
        - ansible.builtin.ping:
    """
    assert "ok=2" in play(variables, tmp_path, tasks)
    if variables["ansible_jail_transport"] == "ssh":
        folder = Path(variables["ansible_control_path_dir"])
        (before,) = [each.stat().st_ino for each in folder.iterdir()]
        assert connected(variables, ("exec_command", "true"), ("reset",))[1] is None
        assert before not in [each.stat().st_ino for each in folder.iterdir()]


def test_ways_that_are_closed_are_unreachable(variables: dict[str, Any], guest: str, tmp_path: Path) -> None:
    """A jail that is not there, one that does not run, a shell that is not there: one line with what to do."""
    stopped = fresh_name()
    module("jail_rootfs", name=stopped, method="skeleton", binaries=["busybox"])
    try:
        for name, said in (
            (stopped, f"it does not run; start it with: jail start {stopped}"),
            ("t-nobody", "no such jail"),
        ):
            status, text = attempted({**variables, "ansible_jail_name": name}, tmp_path, "- ansible.builtin.ping:")
            assert status == 4, text
            assert "unreachable=1" in text
            assert said in " ".join(text.split())
            become = "- ansible.builtin.ping:\n  become: true\n  become_user: joe\n  become_method: su\n"
            status, text = attempted(
                {**variables, "ansible_jail_name": name}, tmp_path, become, ANSIBLE_PIPELINING="true"
            )
            assert status == 4, text
            (error,) = connected({**variables, "ansible_jail_name": name}, ("exec_command", "true"))
            assert error[0] == "AnsibleConnectionFailure"
            assert said in error[1]
            assert "\n" not in error[1]
    finally:
        attempt("jail_state", name=[stopped], state="absent")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_killed_ssh_leaves_nothing_in_the_jail(
    guest: str, server: sshd.Server, tmp_path: Path, terminal: bool
) -> None:
    """The client of a task is killed; what the task has started ends with the session, be it on a terminal or not, and
    what it has detached stays."""
    shell(guest, "rm -f /srv/ready")
    variables = {**server.variables(), "ansible_jail_name": guest, "ansible_ssh_args": "-o ControlMaster=no"}
    command = "setsid sleep 9201 & touch /srv/ready; sleep 9202; true"
    call = ("exec_command", command) if terminal else ("exec_command", command, None, False)

    def task() -> None:
        connected(variables, call)

    pid = process.fork(task)
    sleepers = wait_for(lambda: started(guest) if "ready" in shell(guest, "ls /srv").split() else None)
    assert set(sleepers.values()) == {"sleep 9201", "sleep 9202"}
    (client,) = [each for each in sshd.clients(server) if each != pid]
    os.kill(client, signal.SIGKILL)
    process.wait(pid)
    wait_for(lambda: set(started(guest).values()) == {"sleep 9201"})
    os.kill(next(iter(started(guest))), signal.SIGKILL)
    shell(guest, "rm /srv/ready")


@pytest.fixture
def user(tmp_path: Path) -> Iterator[str]:
    """A user of the host, known in the tests' mount namespace only, whom sudo lets do one thing as root."""
    if shutil.which("sudo") is None:
        pytest.skip("sudo is not installed")
    lines = {
        "passwd": "waysin:x:61234:61234::/tmp:/bin/sh",
        "group": "waysin:x:61234:",
        "shadow": "waysin:*:19000:0:99999:7:::",
        "sudoers": "waysin ALL=(root) NOPASSWD: /usr/local/sbin/jail",
    }
    with contextlib.ExitStack() as stack:
        for name, line in lines.items():
            place, copy = Path("/etc", name), tmp_path / name
            copy.write_text(f"{'' if name == 'sudoers' else place.read_text()}{line}\n")
            copy.chmod(place.stat().st_mode & 0o777)
            succeed(["mount", "--bind", str(copy), str(place)])
            stack.callback(succeed, ["umount", str(place)])
        yield "waysin"


def test_a_login_that_is_not_root(guest: str, server: sshd.Server, user: str, tmp_path: Path) -> None:
    """It becomes root by the command that is set, ``sudo`` where none is; what that is denied is told with the way
    out. Files go the same way."""
    variables = {**server.variables(user), "ansible_jail_name": guest, "ansible_control_path_dir": str(tmp_path / "cp")}
    back = tmp_path / "back"
    calls = (
        ("exec_command", "id -u; cat", b"in"),
        ("put_file", __file__, "/srv/x"),
        ("fetch_file", "/srv/x", str(back)),
    )
    assert connected(variables, *calls) == [(0, b"0\nin", b""), None, None]
    assert filecmp.cmp(__file__, back, shallow=False)
    for become in ("env", "sudo -n -u nobody"):
        (error,) = connected({**variables, "ansible_jail_host_become": become}, ("exec_command", "id"))
        assert error[0] == "AnsibleConnectionFailure"
        assert "log in to the host as root, or have ansible_jail_host_become" in error[1]
        assert "\n" not in error[1]
    connected(variables, ("reset",))
    shell(guest, "rm /srv/x")


def started(name: str) -> dict[int, str]:
    """The processes of a jail that sleep for the tests, by their pids."""
    found = {pid: command_line(pid).strip() for pid in live.group_of(name).processes()}
    return {pid: command for pid, command in found.items() if command.startswith("sleep 92")}


def wait_for(condition: Callable[[], Any]) -> Any:
    """Wait until it gives something; that."""
    deadline = time.monotonic() + _SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found
