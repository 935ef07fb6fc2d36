# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a command in a jail when its client is killed, or nobody listens to it any more."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.tests.integration.support.calls import jail
from ansible_collections.cellblock.jails.tests.integration.support.processes import command_line

_SECONDS = 20.0
_CHILDREN = "sleep 9101 & setsid sleep 9102 & (trap '' HUP; exec sleep 9103) & echo ready; sleep 9104; echo not reached"
"""One child of each kind: of the session, of a session of its own, deaf to hang-ups, and what the shell waits for."""
_DETACHED = {"sleep 9102", "sleep 9103"}


def commands(name: str) -> set[str]:
    """What runs in a jail besides its init."""
    found = {command_line(pid).strip() for pid in live.group_of(name).processes()}
    return found - {"sleep 100000", "(gone)", ""}


def wait_for(name: str, wanted: set[str]) -> None:
    """Wait until nothing but this runs there."""
    deadline = time.monotonic() + _SECONDS
    while commands(name) != wanted:
        assert time.monotonic() < deadline, commands(name)
        time.sleep(0.02)


def started(name: str, script: str, *options: str, **how: Any) -> subprocess.Popen[bytes]:
    """A client that runs a shell script, which has said that it is ready."""
    command = [layout.COMMAND, "exec", *options, name, "--", "sh", "-c", script]
    client = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **how)
    assert client.stdout
    assert client.stdout.readline() == b"ready\n"
    return client


def close(client: subprocess.Popen[bytes]) -> None:
    """Wait for a client to end. What it printed is not read on: others may have its output too."""
    client.wait(_SECONDS)
    assert client.stdout
    client.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_killed_client_takes_its_command_along(box: str, number: signal.Signals) -> None:
    """All that the command has started ends with the client. What has detached itself stays, which also shows that the
    end of a client kills nothing in a jail by itself."""
    client = started(box, _CHILDREN)
    wait_for(box, {f"sh -c {_CHILDREN}", "sleep 9101", "sleep 9104", *_DETACHED})
    client.send_signal(number)
    close(client)
    deaf = {signal.SIGINT: {"sleep 9101"}, signal.SIGTERM: set()}  # (POSIX, "Asynchronous Lists")
    wait_for(box, _DETACHED - ({"sleep 9103"} if number == signal.SIGTERM else set()) | deaf.get(number, set()))


def test_a_client_that_is_killed_with_its_process_group(box: str) -> None:
    """As a shell, cron or a supervisor does it."""
    client = started(box, "echo ready; sleep 9105; true", start_new_session=True)
    os.killpg(client.pid, signal.SIGKILL)
    close(client)
    wait_for(box, set())


def test_a_stopped_command_ends_too(box: str) -> None:
    """One that cannot hear the hang-up is woken to hear it."""
    client = started(box, "echo ready; kill -STOP $$; sleep 9106")
    client.kill()
    close(client)
    wait_for(box, set())


@pytest.mark.parametrize("attempt", range(12))
def test_killed_at_any_moment(shared_box: str, attempt: int) -> None:
    """Also while it is on its way in."""
    client = subprocess.Popen([layout.COMMAND, "exec", shared_box, "--", "sh", "-c", "sleep 9107; true"])
    time.sleep(random.uniform(0.02, 0.4))
    client.kill()
    client.wait(_SECONDS)
    wait_for(shared_box, set())


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_nobody_listens_any_more(box: str, kind: str) -> None:
    """A client that reports hangs up when nobody can read that, be it a pipe or, as some sshd have it, a socket;
    another client does not care."""
    reading, writing = os.pipe() if kind == "pipe" else [end.detach() for end in socket.socketpair()]
    caring = started(box, "echo ready; sleep 9108; true", "--report", "x", stderr=writing)
    careless = started(box, "echo ready; sleep 9109; true", stderr=writing)
    os.close(writing)
    os.close(reading)
    assert caring.wait(_SECONDS) == 0
    wait_for(box, {"sleep 9109", "sh -c echo ready; sleep 9109; true"})
    assert careless.poll() is None
    careless.terminate()
    for client in (caring, careless):
        close(client)


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 255", 255), ("kill -9 $$", 137), ("exit 125", 125)]
)
def test_a_report_tells_a_commands_status_from_ours(shared_box: str, script: str, status: int) -> None:
    """It is the end of standard error, whatever the command wrote there."""
    done = jail("exec", "--report", "w0rd", shared_box, "--", "sh", "-c", f"printf oops >&2; {script}")
    assert (done.returncode, done.stderr) == (0, b"oopsw0rd %d\n" % status)


def test_no_report_of_what_did_not_run(shared_box: str) -> None:
    """Then there is an error and its status, as without."""
    done = jail("exec", "--report", "w0rd", shared_box, "--", "no-such-program")
    assert done.returncode == 127
    assert b"w0rd" not in done.stderr
