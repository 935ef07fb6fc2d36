# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An SSH server of the tests' own, on the loopback of their network namespace, with keys and settings of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from .commands import succeed
from .processes import command_line

_PROGRAM = "/usr/sbin/sshd"
_SEPARATED = Path("/run/sshd")
"""The empty directory that this server's unprivileged part is shut in, a constant of Debian's build."""
_SECONDS = 20.0


class Server(NamedTuple):
    """How to reach it."""

    port: int
    key: Path
    known_hosts: Path
    log: Path
    pid: int

    def variables(self, user: str = "root") -> dict[str, object]:
        """What Ansible has to know."""
        options = f"-F /dev/null -o UserKnownHostsFile={self.known_hosts} -o IdentitiesOnly=yes"
        return {
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_user": user,
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": options,
        }


def clients(server: Server) -> list[int]:
    """The pids of the ssh clients that use the key of a server."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        words = command_line(int(entry)).split()
        if words[:1] == ["ssh"] and any(str(server.key) in word for word in words):
            found.append(int(entry))
    return found


def _key(path: Path) -> Path:
    succeed(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)])
    return path


def _free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return int(place.getsockname()[1])


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """A server for a ``with`` block, in which root and whoever else may log in by one key."""
    if not os.path.exists(_PROGRAM) or shutil.which("ssh") is None:
        pytest.skip("the OpenSSH server or client is not installed")
    with tempfile.TemporaryDirectory(prefix="jails-sshd-") as name, _directory(_SEPARATED):
        folder = Path(name)
        folder.chmod(0o755)  # the server reads whom it lets in as that user
        yield from _served(folder)


def _served(folder: Path) -> Iterator[Server]:
    host, key, port = _key(folder / "host"), _key(folder / "user"), _free_port()
    known = folder / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {host.with_suffix('.pub').read_text()}")
    authorized = folder / "authorized"
    authorized.write_text(key.with_suffix(".pub").read_text())
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": host,
        "AuthorizedKeysFile": authorized,
        "StrictModes": "no",  # where tests keep their files others may write
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "PidFile": "none",
        "Subsystem": "sftp internal-sftp",
        "MaxStartups": 100,
    }
    configuration = folder / "sshd_config"
    configuration.write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    log = folder / "log"
    with log.open("wb") as file:
        server = subprocess.Popen(
            [_PROGRAM, "-D", "-e", "-f", str(configuration)], stdin=subprocess.DEVNULL, stderr=file
        )
        try:
            _wait_for(port, server, log)
            yield Server(port, key, known, log, server.pid)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(_SECONDS)


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while True:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


@contextlib.contextmanager
def _directory(path: Path) -> Iterator[None]:
    """Have it; one that was not there is removed at the end, unless another needs it."""
    missing = not path.exists()
    path.mkdir(mode=0o755, exist_ok=True)
    try:
        yield
    finally:
        if missing:
            with contextlib.suppress(OSError):
                path.rmdir()
