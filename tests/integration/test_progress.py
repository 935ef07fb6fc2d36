# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``ansible-playbook -v`` shows how far a build is, while it is under way."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.tests.integration.support.calls import ROOT, module

_DELAY = 2.0
_SSHD = "/usr/sbin/sshd"
_SEPARATION = "/run/sshd"

needs_debootstrap = pytest.mark.skipif(not shutil.which("debootstrap"), reason="debootstrap is not installed")


class _Slow(http.server.BaseHTTPRequestHandler):
    """A mirror that takes its time to have nothing."""

    def do_GET(self) -> None:
        """Whatever it is."""
        time.sleep(_DELAY)
        self.send_error(404)

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def mirror() -> Iterator[str]:
    """The URL of a mirror that makes a build long, and fail."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/debian"
        server.shutdown()


def write_play(folder: Path, options: str, more: str = "") -> Path:
    """A play that makes a jail."""
    file = folder / "play.yml"
    lines = ["- hosts: all", "  gather_facts: false", "  tasks:", f"    - cellblock.jails.jail_rootfs: {{{options}}}"]
    file.write_text("\n".join([*lines, *([f"      {more}"] if more else [])]) + "\n", encoding="utf-8")
    return file


@pytest.fixture
def play(name: str, mirror: str, tmp_path: Path) -> Path:
    """A play that takes some seconds to fail."""
    return write_play(tmp_path, f'name: {name}, method: debootstrap, suite: bookworm, mirror: "{mirror}"')


def quick(name: str, group: str) -> str:
    """The options of a jail whose template is built at once; one for each group."""
    return f"name: {name}, method: skeleton, binaries: [busybox, bash, ls, cat], trust_group: {group}"


def run(*words: str) -> list[tuple[float, str]]:
    """Run ansible-playbook; each line that it prints, with the seconds until its end."""
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1"}
    program = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
    lines = []
    with subprocess.Popen(
        [program, *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        assert running.stdout
        for line in running.stdout:
            lines.append((time.monotonic(), line))
    end = time.monotonic()
    return [(end - moment, line) for moment, line in lines]


def assert_followed(lines: list[tuple[float, str]], host: str) -> None:
    """The first step was shown while the second was to come, and the end is as it would have been."""
    printed = "".join(line for _seconds, line in lines)
    first = [seconds for seconds, line in lines if line.startswith(f"<{host}> [debootstrap-bookworm-")]
    assert first, printed
    assert first[0] > _DELAY / 2, printed
    assert "I: the first stage of debootstrap ended with status" in printed
    assert "E: Failed getting release file" in printed
    assert "failed=1" in printed
    assert "Traceback" not in printed


@needs_debootstrap
@pytest.mark.parametrize("become", [[], ["--become", "--become-method", "su"]], ids=["plain", "become"])
def test_a_local_build_is_followed(play: Path, become: list[str]) -> None:
    """Of this host, as we are and by su(1)."""
    assert_followed(run("-v", str(play), *become), "localhost")


def followed(*words: str) -> list[str]:
    """The lines of a run that show a build; the run has to succeed."""
    lines = [line for _seconds, line in run(*words)]
    assert any("changed=1" in line for line in lines), lines
    return [line for line in lines if line.startswith("<localhost> [skeleton-")]


def test_who_does_not_ask_sees_nothing(name: str, tmp_path: Path) -> None:
    """Without ``-v``, in check mode, and of a task with ``no_log``."""
    assert followed("-v", "--check", str(write_play(tmp_path, quick(name, "progress-a")))) == []
    assert followed(str(write_play(tmp_path, quick(name, "progress-a")))) == []
    module("jail_state", name=[name], state="absent")
    assert followed("-v", str(write_play(tmp_path, quick(name, "progress-b"), "no_log: true"))) == []


def test_more_of_v_is_more(name: str, tmp_path: Path) -> None:
    """With ``-vv`` each line is shown, with ``-v`` the last of each look."""
    every = followed("-vv", str(write_play(tmp_path, quick(name, "progress-c"))))
    assert len([line for line in every if "I: copying" in line]) == 4
    module("jail_state", name=[name], state="absent")
    some = followed("-v", str(write_play(tmp_path, quick(name, "progress-d"))))
    assert 1 <= len(some) < len(every)
    assert "I: built in" in some[-1]
    assert "I: built in" in every[-1]


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Path]:
    """An inventory with this host as one that is reached by SSH."""
    if not os.path.exists(_SSHD):
        pytest.skip(f"the host has no {_SSHD}")
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / key)], check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": tmp_path / "host",
        "AuthorizedKeysFile": tmp_path / "user.pub",
        "StrictModes": "no",
        "UsePAM": "no",
        "PidFile": "none",
    }
    ssh = f"-o UserKnownHostsFile={tmp_path / 'known'} -o StrictHostKeyChecking=accept-new -o ControlPersist=3"
    variables = {
        "ansible_host": "127.0.0.1",
        "ansible_port": port,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": tmp_path / "user",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_common_args": f'"{ssh}"',
    }
    inventory = tmp_path / "remote.ini"
    inventory.write_text(
        f"remote {' '.join(f'{name}={value}' for name, value in variables.items())}\n", encoding="utf-8"
    )
    words = [word for option, value in options.items() for word in ("-o", f"{option}={value}")]
    with _privilege_separation(), subprocess.Popen([_SSHD, "-D", "-f", "/dev/null", *words]) as server:
        yield inventory
        server.terminate()


@contextlib.contextmanager
def _privilege_separation() -> Iterator[None]:
    """The directory that sshd(8) wants to be there."""
    missing = not os.path.isdir(_SEPARATION)
    os.makedirs(_SEPARATION, exist_ok=True)
    try:
        yield
    finally:
        if missing:
            os.rmdir(_SEPARATION)


@needs_debootstrap
def test_a_build_on_another_host_is_followed(play: Path, remote: Path) -> None:
    """Over SSH, with and without another user's rights."""
    assert_followed(run("-v", "-i", str(remote), str(play)), "remote")
    assert_followed(run("-v", "-i", str(remote), str(play), "--become", "--become-method", "su"), "remote")


def test_a_host_that_cannot_be_reached_is_told_as_ever(name: str, tmp_path: Path) -> None:
    """Following changes nothing about it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    play = write_play(tmp_path, quick(name, "progress-e"))
    inventory = tmp_path / "gone.ini"
    inventory.write_text(f"gone ansible_host=127.0.0.1 ansible_port={port}\n", encoding="utf-8")
    printed = "".join(line for _seconds, line in run("-v", "-i", str(inventory), str(play)))
    assert "unreachable=1" in printed
    assert "Connection refused" in printed
