# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a tree: what was written is what is read, odd trees are told apart, bad words are refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import paths
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.settings import host_keys, hosts, machine_id
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.settings.kinds import SETTINGS

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPtWnMB0N8sB0xvq9Kq2 me@example"
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree like Debian's, as far as settings care."""
    for folder in ("etc/apt/sources.list.d", "etc/default", "usr/share/zoneinfo/Europe"):
        (tmp_path / folder).mkdir(parents=True)
    for zone in ("UTC", "Europe/Berlin"):
        (tmp_path / "usr/share/zoneinfo" / zone).write_bytes(b"TZif2")
    return tmp_path


@pytest.fixture
def root(tree: Path) -> Iterator[int]:
    """Its root directory."""
    with paths.opened(paths.open_directory(str(tree))) as descriptor:
        yield descriptor


def inodes(tree: Path) -> dict[Path, int]:
    """Of all files of a tree: each writing makes a new one."""
    return {path: path.stat().st_ino for path in tree.rglob("*") if path.is_file() and not path.is_symlink()}


VALUES: list[tuple[str, Any]] = [
    ("authorized_keys", [KEY, f'command="echo  \\"a b\\"",no-pty {KEY}', "sk-ssh-ed25519@openssh.com AAAAGnNr"]),
    ("authorized_keys", []),
    ("fstab", ["tmpfs /tmp tmpfs size=64m 0 0", "/dev/sda1\t/x  ext4 ro"]),
    ("fstab", []),
    ("hosts", ["192.0.2.7 db.example  db", "2001:DB8::7 db6"]),
    ("hosts", []),
    ("locale", "de_DE.UTF-8"),
    ("locale", "sr_RS@latin"),
    ("machine_id", "0123456789abcdef0123456789abcdef"),
    ("package_sources", ["deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib"]),
    ("package_sources", []),
    ("timezone", "Europe/Berlin"),
    ("timezone", "UTC"),
]


@pytest.mark.parametrize(("name", "given_value"), VALUES)
def test_what_was_written_is_what_is_read(root: int, tree: Path, name: str, given_value: Any) -> None:
    """And writing it again changes no file."""
    setting = SETTINGS[name]
    value = setting.parse(given_value)
    assert setting.parse(value) == value
    setting.write(root, value)
    assert setting.read(root) == value
    before = inodes(tree)
    setting.write(root, value)
    assert setting.read(root) == value
    assert inodes(tree) == before


addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
labels = st.from_regex(r"[a-z0-9][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)


@quick
@given(st.lists(st.tuples(addresses, st.lists(labels, min_size=1, max_size=3))))
def test_any_hosts_survive(root: int, entries: list[tuple[str, list[str]]]) -> None:
    """Also such as look like the lines that every system has."""
    value = SETTINGS["hosts"].parse([" ".join([address, *names]) for address, names in entries])
    SETTINGS["hosts"].write(root, value)
    assert SETTINGS["hosts"].read(root) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("authorized_keys", ["-----BEGIN OPENSSH PRIVATE KEY-----"]),
        ("authorized_keys", [f"{KEY}\n{KEY}"]),
        ("authorized_keys", ["# a comment"]),
        ("authorized_keys", [""]),
        ("authorized_keys", [f'command="unfinished {KEY}']),
        ("fstab", ["tmpfs /tmp tmpfs"]),
        ("fstab", ["a b c d e f"]),
        ("fstab", ["a b c d 0 0 0"]),
        ("fstab", ["# a b c d"]),
        ("fstab", ["a b c d 0 0\nx y z w 0 0"]),
        ("hosts", ["db.example"]),
        ("hosts", ["192.0.2.7"]),
        ("hosts", ["192.0.2.300 db"]),
        ("hosts", ["192.0.2.7 -db"]),
        ("hosts", ["192.0.2.7 db # mine"]),
        ("hosts", ["192.0.2.7 db\n192.0.2.8 x"]),
        ("locale", "de DE"),
        ("locale", "x\nLC_ALL=y"),
        ("locale", "../x"),
        ("machine_id", "0" * 32),
        ("machine_id", "0123456789ABCDEF0123456789ABCDEF"),
        ("machine_id", "0123456789abcdef0123456789abcde"),
        ("package_sources", ["rm -rf /"]),
        ("package_sources", ["deb http://mirror.example/debian"]),
        ("package_sources", ["deb http://m.example/ x main\ndeb http://n.example/ x main"]),
        ("timezone", "../../etc/shadow"),
        ("timezone", "/etc/shadow"),
        ("timezone", "Europe/Berlin\n"),
        ("timezone", ""),
    ],
)
def test_bad_words_are_refused(name: str, value: Any) -> None:
    """Before anything is written, with the words."""
    with pytest.raises(ValueError, match=r".+"):
        SETTINGS[name].parse(value)


def test_keys_are_private(root: int, tree: Path) -> None:
    """sshd takes them only from a file and a directory that are their owner's alone."""
    (tree / "root/.ssh").mkdir(parents=True)
    (tree / "root/.ssh").chmod(0o777)
    SETTINGS["authorized_keys"].write(root, [KEY])
    assert stat.S_IMODE((tree / "root/.ssh").stat().st_mode) == 0o700
    assert stat.S_IMODE((tree / "root/.ssh/authorized_keys").stat().st_mode) == 0o600


def test_a_zone_that_is_not_there_is_refused(root: int, tree: Path) -> None:
    """With what to install; a link out of the tree is not there."""
    (tree / "usr/share/zoneinfo/Local").symlink_to("/etc/passwd")
    for zone in ("Europe/Paris", "Europe", "Local"):
        with pytest.raises(JailError, match=rf"timezone: .* no time zone {zone}; install tzdata"):
            SETTINGS["timezone"].write(root, zone)
    assert not (tree / "etc/localtime").is_symlink()
    assert SETTINGS["timezone"].read(root) is None


def test_a_zone_that_two_files_disagree_on_is_none(root: int, tree: Path) -> None:
    """Programs look at one or the other."""
    SETTINGS["timezone"].write(root, "UTC")
    (tree / "etc/timezone").write_text("Europe/Berlin\n")
    assert SETTINGS["timezone"].read(root) == "UTC (Europe/Berlin in /etc/timezone)"


def test_a_locale_is_all_of_the_file(root: int, tree: Path) -> None:
    """LC_ALL beside LANG would win over it; and Debian's file counts where its directory is."""
    setting = SETTINGS["locale"]
    assert setting.read(root) is None
    setting.write(root, "C.UTF-8")
    (tree / "etc/locale.conf").write_text("LANG=C.UTF-8\nLC_ALL=de_DE.UTF-8\n")
    assert setting.read(root) == "LANG=C.UTF-8 LC_ALL=de_DE.UTF-8 / LANG=C.UTF-8"
    (tree / "etc/default/locale").unlink()
    (tree / "etc/default").rmdir()
    (tree / "etc/locale.conf").write_text('LANG="de_DE.UTF-8"\n')
    assert setting.read(root) == "de_DE.UTF-8"
    setting.write(root, "C.UTF-8")
    assert not (tree / "etc/default").exists()


def test_sources_elsewhere_are_seen_and_removed(root: int, tree: Path) -> None:
    """All sources of a package manager are one option; what is no source stays."""
    for name in ("debian.sources", "extra.list", "README"):
        (tree / "etc/apt/sources.list.d" / name).write_text("x\n")
    (tree / "etc/apt/sources.list").write_text("# deb http://old.example/ x main\ndeb http://m.example/ x main\n")
    setting = SETTINGS["package_sources"]
    assert setting.read(root) == [
        "deb http://m.example/ x main",
        "/etc/apt/sources.list.d/debian.sources",
        "/etc/apt/sources.list.d/extra.list",
    ]
    setting.write(root, ["deb http://n.example/ x main"])
    assert setting.read(root) == ["deb http://n.example/ x main"]
    assert os.listdir(tree / "etc/apt/sources.list.d") == ["README"]


@pytest.mark.parametrize(
    ("folder", "file", "sources", "content"),
    [
        (
            "etc/apk",
            "etc/apk/repositories",
            ["http://m.example/v3.22/main", "@edge https://m.example/edge/main", "/srv/packages"],
            "http://m.example/v3.22/main\n@edge https://m.example/edge/main\n/srv/packages\n",
        ),
        (
            "etc/yum.repos.d",
            "etc/yum.repos.d/jail.repo",
            ["base http://m.example/os/", "own https://m.example/own/ file:///etc/pki/own"],
            """[base]
name=base
baseurl=http://m.example/os/
enabled=1
gpgcheck=1
[own]
name=own
baseurl=https://m.example/own/
enabled=1
gpgcheck=1
gpgkey=file:///etc/pki/own
""",
        ),
    ],
)
def test_sources_in_the_words_of_the_package_manager(
    tmp_path: Path, folder: str, file: str, sources: list[str], content: str
) -> None:
    """Which one it is shows by its directory; words of another one are refused, and a tree without one, too."""
    setting = SETTINGS["package_sources"]
    with paths.opened(paths.open_directory(str(tmp_path))) as root:
        with pytest.raises(JailError, match=r"package_sources: .* has no package manager"):
            setting.write(root, sources)
        assert setting.read(root) == []
        (tmp_path / folder).mkdir(parents=True)
        setting.write(root, setting.parse(sources))
        assert (tmp_path / file).read_text() == content
        assert setting.read(root) == sources
        with pytest.raises(JailError, match=r"package_sources: .* means nothing .*; write it like"):
            setting.write(root, ["deb http://m.example/ x main"])


@pytest.mark.parametrize(
    "change", ["gpgcheck=0", "enabled=0", "proxy=http://x.example", "[other]", "baseurl=http://x/"]
)
def test_a_changed_section_is_no_source(tmp_path: Path, change: str) -> None:
    """Whoever turns the check of signatures off has made another source of it."""
    setting, sources = SETTINGS["package_sources"], ["base http://m.example/os/"]
    file = tmp_path / "etc/yum.repos.d/jail.repo"
    file.parent.mkdir(parents=True)
    with paths.opened(paths.open_directory(str(tmp_path))) as root:
        setting.write(root, sources)
        file.write_text(f"{file.read_text()}{change}\n")
        assert setting.read(root) != sources


def test_own_name_in_hosts(root: int, tree: Path) -> None:
    """A new file has it; in one that is there only the line for it is changed, and only where it is another."""
    file = tree / "etc/hosts"
    hosts.name_itself(root, "web1.example")
    assert file.read_text() == (
        "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 web1.example web1\n"
    )
    file.write_text("127.0.0.1\tlocalhost\n127.0.1.1\tweb1.example\tweb1  # me\n192.0.2.1 x\n")
    hosts.name_itself(root, "web1")
    assert "127.0.1.1\tweb1.example\tweb1  # me\n" in file.read_text()
    hosts.name_itself(root, "web2")
    assert file.read_text() == "127.0.0.1\tlocalhost\n127.0.1.1 web2\n192.0.2.1 x\n"
    file.write_text("127.0.0.1 localhost\n")
    hosts.name_itself(root, "web2")
    assert file.read_text() == "127.0.0.1 localhost\n"


@pytest.mark.parametrize("before", [None, "", "uninitialized\n", "0" * 32 + "\n", "short\n"])
def test_a_machine_id_fills_what_is_none(root: int, tree: Path, before: str | None) -> None:
    """And one that is there stays."""
    if before is not None:
        (tree / "etc/machine-id").write_text(before)
    machine_id.fill(root, "a" * 32)
    machine_id.fill(root, "b" * 32)
    assert (tree / "etc/machine-id").read_text() == "a" * 32 + "\n"
    assert stat.S_IMODE((tree / "etc/machine-id").stat().st_mode) == 0o444


def test_host_keys_are_wanted_by_a_server_that_has_none(root: int, tree: Path) -> None:
    """A key of any type, also of one that nobody makes any more, is a key; an empty file is none."""
    assert host_keys.missing(root) == []
    (tree / "usr/sbin").mkdir()
    (tree / "usr/sbin/sshd").symlink_to("sshd-real")
    assert host_keys.missing(root) == []
    (tree / "usr/sbin/sshd-real").write_text("")
    assert host_keys.missing(root) == ["ecdsa", "ed25519", "rsa"]
    (tree / "etc/ssh").mkdir()
    (tree / "etc/ssh/ssh_host_rsa_key").write_text("")
    assert host_keys.missing(root) == ["ecdsa", "ed25519", "rsa"]
    (tree / "etc/ssh/ssh_host_dsa_key").write_text("x")
    assert host_keys.missing(root) == []
    assert host_keys.present(root) == ["dsa"]


def test_host_keys_of_chosen_types(root: int, tree: Path) -> None:
    """Others go, with their public halves; what is no host key stays."""
    host_keys.place(root, dict.fromkeys(("rsa", "ed25519"), ("private\n", "public\n")))
    (tree / "etc/ssh/sshd_config").write_text("x")
    assert stat.S_IMODE((tree / "etc/ssh/ssh_host_rsa_key").stat().st_mode) == 0o600
    assert host_keys.keep_only(root, ["ecdsa", "rsa"]) == ["ecdsa"]
    assert sorted(os.listdir(tree / "etc/ssh")) == ["ssh_host_rsa_key", "ssh_host_rsa_key.pub", "sshd_config"]


@quick
@given(
    st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line), min_size=1, max_size=6),
    st.lists(st.sampled_from(["10.0.0.1 one", "fd00::1 two"]), max_size=3),
)
def test_all_other_lines_stay_when_a_system_is_told_of_others(
    tree: Path, root: int, own: list[bytes], others: list[str]
) -> None:
    """Whatever they are; and they are all that is left when it is not told any more."""
    before = b"".join(line + b"\n" for line in own)
    (tree / "etc/hosts").write_bytes(before)
    assert hosts.told(root) is None
    for told in (others, ["10.0.0.9 nine"], []):
        hosts.tell(root, told)
        assert hosts.told(root) == told
        assert (tree / "etc/hosts").read_bytes().startswith(before)
    hosts.tell(root, None)
    assert (tree / "etc/hosts").read_bytes() == before


def test_a_comment_without_its_fellow_marks_nothing(tree: Path, root: int) -> None:
    """What stands between it and the next one stays."""
    hosts.tell(root, ["10.0.0.1 one"])
    begin, told, end = (tree / "etc/hosts").read_bytes().splitlines()[-3:]
    for lines in ([begin, b"192.0.2.1 mine"], [end, b"192.0.2.1 mine"], [begin, b"192.0.2.1 mine", begin, told, end]):
        (tree / "etc/hosts").write_bytes(b"\n".join([*lines, b""]))
        hosts.tell(root, ["10.0.0.2 two"])
        assert hosts.told(root) == ["10.0.0.2 two"]
        hosts.tell(root, None)
        assert (tree / "etc/hosts").read_bytes() == b"192.0.2.1 mine\n"
