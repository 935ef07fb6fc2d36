# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to one jail is that jail's: of its own from the first start on, and changed live."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage, templates
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
from ansible_collections.cellblock.jails.tests.integration.support.identities import (
    FILES,
    FURNISH,
    KEY,
    ONE,
    OTHER,
    SERVER,
    SKELETON,
    Names,
    content,
    restart,
)


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
        shell(name, f"{FURNISH}{SERVER}")
    module("jail_rootfs", jails=[{"name": one, **ONE}, {"name": other, **OTHER}])
    module("jail_state", name=[one, other], state="restarted")
    mine, theirs = content(one), content(other)
    assert not [option for option in FILES if mine[option] == theirs[option]]
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
    for option, path in FILES.items():
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
    shell(name, FURNISH)
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


def test_templates_keep_nothing(shared_box: str) -> None:
    """What a skeleton is built with: no host name, no hosts, no resolver, an empty machine id."""
    found = storage.describe(shared_box)
    assert found is not None
    top = Path(templates.tree(found.template))
    assert (top / "etc/machine-id").read_bytes() == b""
    assert not [name for name in ("hostname", "hosts", "resolv.conf", "fstab") if os.path.lexists(top / "etc" / name)]
