# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``jail`` command, without a terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.tests.integration.support.calls import inside, jail, module, pid_of


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["true"], 0, b""),
        (["sh", "-c", "exit 7"], 7, b""),
        (["sh", "-c", "kill -KILL $$"], 137, b""),
        (["sh", "-c", "kill -TERM $$"], 143, b""),
        (["/etc/passwd"], 126, b"/etc/passwd: Permission denied"),
        (["/etc"], 126, b"/etc: Permission denied"),
        (["no-such-program"], 127, b"no-such-program: no such program"),
        (["/no/such/program"], 127, b"/no/such/program: no such program"),
        ([], 125, b"no command was given"),
    ],
)
def test_exit_statuses(shared_box: str, words: list[str], status: int, said: bytes) -> None:
    """A command's own status comes back, a signal as a shell counts it; 126 and 127 are a command that could not run,
    125 is ours, and each of those says why in one line."""
    done = jail("exec", shared_box, "--", *words)
    assert done.returncode == status
    assert said in done.stderr
    assert done.stderr.count(b"\n") == bool(said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-w", "/nowhere"], b"No such file or directory (/nowhere)"),
        (["-w", "/etc/passwd"], b"Not a directory (/etc/passwd)"),
    ],
)
def test_working_directory_that_is_not_there(shared_box: str, words: list[str], said: bytes) -> None:
    """A wrong directory is named, with the status for what did not run."""
    done = jail("exec", *words, shared_box, "--", "true")
    assert (done.returncode, said in done.stderr) == (125, True), done.stderr


def test_an_id_that_the_jail_does_not_have_is_named(shared_box: str) -> None:
    """A user beyond the 65536 of the jail cannot be had; the message has the number."""
    done = jail("exec", "-u", "70000", shared_box, "--", "true")
    assert done.returncode == 125
    assert b"70000" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["exec", "Bad", "--", "true"],
        ["exec", "-u", "root", "x", "--", "id"],
        ["exec", "-e", "A", "x"],
        ["nonsense"],
        [],
    ],
)
def test_wrong_usage_is_told_with_status_2(shared_box: str, words: list[str]) -> None:
    """What the command line cannot mean is refused as every program does."""
    done = jail(*words)
    assert done.returncode == 2
    assert b"usage: jail" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "exec", "enter", "log"])
def test_a_jail_that_is_not_there_is_an_error_of_every_verb(shared_box: str, verb: str) -> None:
    """Nothing is done, and said to be done, for a name that no jail has."""
    done = jail(verb, "t-nobody", *(["--", "true"] if verb == "exec" else []))
    assert done.returncode == 125
    assert done.stderr.startswith(b"jail: t-nobody: ")
    assert done.stderr.count(b"\n") == 1


def test_options_of_exec(shared_box: str) -> None:
    """User, directory and variables hold; a user alone is also the group."""
    done = jail(
        "exec", "-u", "12", "-w", "/etc", "-e", "A=1 2", shared_box, "--", "sh", "-c", "id -u; id -g; pwd; echo $A"
    )
    assert done.stdout == b"12\n12\n/etc\n1 2\n"
    assert jail("exec", "-u", "12:13", shared_box, "id", "-g").stdout == b"13\n"


def test_words_arrive_as_they_are(shared_box: str) -> None:
    """Blanks, quotes, newlines, options, empty words and bytes that are no UTF-8 reach the command unchanged."""
    words = ["", "a b", "'\"$x`", "new\nline", "--", "-n", "é"]
    done = jail("exec", shared_box, "--", "sh", "-c", 'for w; do printf "%s\\0" "$w"; done', "sh", *words)
    assert done.stdout.decode().split("\0")[:-1] == words
    raw = subprocess.run(
        [layout.COMMAND.encode(), b"exec", shared_box.encode(), b"--", b"printf", b"%s", b"\xff\xfe"],
        capture_output=True,
        check=True,
    )
    assert raw.stdout == b"\xff\xfe"


def test_streams_are_binary_and_apart(shared_box: str) -> None:
    """A megabyte of every byte goes in and comes out unchanged; errors come out by themselves."""
    data = bytes(range(256)) * 4096
    done = jail("exec", shared_box, "--", "sh", "-c", "cat; echo oops >&2", given=data)
    assert done.stdout == data
    assert done.stderr == b"oops\n"


def test_end_of_input_reaches_the_command(shared_box: str) -> None:
    """An empty standard input ends at once, and one that was never open does no harm."""
    assert jail("exec", shared_box, "--", "wc", "-c").stdout == b"0\n"
    done = subprocess.run(
        ["sh", "-c", f"{layout.COMMAND} exec {shared_box} -- echo fine <&-"], capture_output=True, check=True
    )
    assert done.stdout == b"fine\n"


def test_signals_are_passed_on(shared_box: str) -> None:
    """SIGTERM for the client goes to the command, whose handling of it decides."""
    script = "trap 'echo got; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    client = subprocess.Popen([layout.COMMAND, "exec", shared_box, "--", "sh", "-c", script], stdout=subprocess.PIPE)
    assert client.stdout
    assert client.stdout.readline() == b"ready\n"
    client.send_signal(signal.SIGTERM)
    rest, _errors = client.communicate(timeout=20)
    assert (rest, client.returncode) == (b"got\n", 9)


def test_stopping_the_jail_ends_what_was_entered(box: str) -> None:
    """A command that runs in a jail ends with it, and its client says so."""
    client = subprocess.Popen(
        [layout.COMMAND, "exec", box, "--", "sh", "-c", "echo in; sleep 999"], stdout=subprocess.PIPE
    )
    assert client.stdout
    assert client.stdout.readline() == b"in\n"
    assert jail("stop", box).returncode == 0
    client.communicate(timeout=20)
    assert client.returncode == 137


def test_start_stop_restart_by_hand(box: str) -> None:
    """The verbs do what the module does; starting what runs changes nothing."""
    first = pid_of(box)
    assert jail("start", box).returncode == 0
    assert pid_of(box) == first
    assert jail("restart", box).returncode == 0
    assert pid_of(box) != first
    assert jail("stop", box).returncode == 0
    assert jail("stop", box).returncode == 0
    assert not live.group_of(box).exists()
    done = jail("exec", box, "--", "true")
    assert (done.returncode, done.stderr.count(b"\n")) == (125, 1)
    assert b"does not run" in done.stderr
    assert jail("start", box).returncode == 0
    assert not module("jail_state", name=[box], state="started")["changed"]


def test_started_without_standard_streams(box: str) -> None:
    """Started from where no descriptor is open, as some schedulers do, a jail has the same ones as ever."""
    subprocess.run(["sh", "-c", f"{layout.COMMAND} restart {box} <&- >&- 2>&-"], check=True)
    assert set(os.listdir(f"/proc/{pid_of(box)}/fd")) == {"0", "1", "2"}


def test_ls(box: str) -> None:
    """The table has a line for each jail, and ``--json`` all of it in a form for programs."""
    module("jail_limits", name=box, memory_max="64M")
    module("jail_net", name=box, interfaces=[{"name": "e0", "bridge": "br-ls", "addresses": ["10.85.0.2/24"]}])
    header, *lines = jail("ls").stdout.decode().splitlines()
    assert header.split()[:3] == ["NAME", "STATUS", "PID"]
    (line,) = [line.split() for line in lines if line.startswith(f"{box} ")]
    assert line[:4] == [box, "started", str(pid_of(box)), "1"]
    assert line[5] == "10.85.0.2/24"
    assert line[6].startswith("skeleton-")
    found = json.loads(jail("ls", "--json").stdout)[box]
    assert found["status"] == "started"
    assert found["limits"]["memory_max"] == "64M"
    assert found["net"]["interfaces"][0]["addresses"] == ["10.85.0.2/24"]
    assert found["usage"]["processes"] == 1
    jail("stop", box)
    (line,) = [line.split() for line in jail("ls").stdout.decode().splitlines() if line.startswith(f"{box} ")]
    assert line[:4] == [box, "stopped", "-", "-"]


@pytest.mark.parametrize(
    ("count", "shown"), [(0, ""), (2, "3\n4\n"), (4, "1\n2\n3\n4\n"), (5, "1\n2\n3\n4\n"), (99, "1\n2\n3\n4\n")]
)
def test_log_by_lines(shared_log: str, count: int, shown: str) -> None:
    """``-n`` gives the last lines, and all of them where there are fewer."""
    assert jail("log", "-n", str(count), shared_log).stdout.decode() == shown


@pytest.fixture(scope="module")
def shared_log(shared_box: str) -> str:
    """A jail whose first process has printed four lines."""
    module("jail_state", name=[shared_box], command=["sh", "-c", "echo 1; echo 2; echo 3; echo 4; exec sleep 100000"])
    module("jail_state", name=[shared_box], state="restarted")
    for _try in range(200):
        if jail("log", shared_box).stdout.endswith(b"4\n"):
            break
        time.sleep(0.02)
    return shared_box


def test_only_root_may(shared_box: str) -> None:
    """Anybody else is told so."""
    os.chmod(os.path.dirname(layout.RUNTIME), 0o755)
    done = subprocess.run([layout.COMMAND, "ls"], capture_output=True, user=65534, group=65534, check=False)
    assert done.returncode == 125
    assert b"only root" in done.stderr


def test_purge_refuses_while_there_is_a_jail(shared_box: str) -> None:
    """Nothing is removed under jails, which are named."""
    done = jail("purge")
    assert done.returncode == 125
    assert shared_box.encode() in done.stderr
    assert inside(shared_box, "echo", "still") == "still\n"
