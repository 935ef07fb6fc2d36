# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers: what is installed, how it is known to answer, and the switch that it needs, if any.

Scripts run in the jail by bash, as its root, after ``export LC_ALL=C.UTF-8``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Server(NamedTuple):
    """One server of Debian's.

    :param packages: what ``apt-get install`` is given; the first is that whose version is told.
    :param units: of systemd, that must be active after a restart of the jail; none for what is no service.
    :param question: a script whose output shows that it does its work.
    :param answer: a regular expression that the output of ``question`` must hold.
    :param setting_up: a script that runs after the installation.
    :param opened: the options of ``jail_state`` without which it does not work; there is one switch at most.
    :param why: it needs that.
    """

    packages: tuple[str, ...]
    units: tuple[str, ...]
    question: str
    answer: str
    setting_up: str = ""
    opened: Mapping[str, Any] = {}
    why: str = ""


def _ask(port: int, said: str, lines: int = 1) -> str:
    """A script that says something to a port and shows the first lines of what comes back."""
    return f'exec 3<>/dev/tcp/127.0.0.1/{port}; printf "{said}" >&3; timeout 20 head -n {lines} <&3'


SERVERS = {
    "nginx": Server(
        ("nginx",),
        ("nginx",),
        _ask(80, "GET / HTTP/1.0\\r\\n\\r\\n"),
        r"HTTP/1\.1 200 OK",
    ),
    "postgresql": Server(
        ("postgresql",),
        ("postgresql@15-main",),
        "echo 'create temp table t (n int); insert into t values (42); select n from t' | su postgres -c 'psql -At'",
        r"(?m)^42$",
        opened={"allow_sysvipc": True},
        why="it guards its data directory by a System V shared memory segment",
    ),
    "redis": Server(
        ("redis-server",),
        ("redis-server",),
        "redis-cli set a 42; redis-cli get a; redis-cli ping",
        r"OK\n42\nPONG",
    ),
    "openssh": Server(
        ("openssh-server",),
        ("ssh",),
        "ssh -o StrictHostKeyChecking=no -o BatchMode=yes root@127.0.0.1 'echo logged in as $USER on $SSH_TTY' 2>&1",
        r"logged in as root",
        setting_up="mkdir -m 700 -p ~/.ssh; ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519;"
        " cp ~/.ssh/id_ed25519.pub ~/.ssh/authorized_keys",
    ),
    "cron": Server(
        ("cron",),
        ("cron",),
        "for i in $(seq 75); do test -e /run/cron-was-here && break; sleep 1; done; cat /run/cron-was-here",
        r"root",
        setting_up="echo '* * * * * root id -un > /run/cron-was-here' > /etc/cron.d/probe",
    ),
    "rsyslog": Server(
        ("rsyslog",),
        ("rsyslog",),
        "logger -t probe said-by-logger; for i in $(seq 20); do grep -h said-by-logger /var/log/syslog && break;"
        " sleep 0.5; done",
        r"probe: said-by-logger",
    ),
    "postfix": Server(
        ("postfix",),
        ("postfix@-",),
        _ask(25, "QUIT\\r\\n") + "; printf 'Subject: hello\\n\\nletter-to-probe\\n' | sendmail probe;"
        " for i in $(seq 40); do grep -h letter-to-probe /var/mail/probe 2>/dev/null && break; sleep 0.5; done",
        r"220 .*ESMTP Postfix[^\0]*letter-to-probe",
        setting_up="useradd -m probe",
    ),
    "mariadb": Server(
        ("mariadb-server",),
        ("mariadb",),
        "mariadb -Ne 'create database d; create table d.t (n int); insert into d.t values (42); select n from d.t;"
        " drop database d'",
        r"(?m)^42$",
    ),
    "memcached": Server(
        ("memcached",),
        ("memcached",),
        _ask(11211, "set a 0 0 2\\r\\n42\\r\\nget a\\r\\nquit\\r\\n", 3),
        r"STORED\s+VALUE a 0 2\s+42",
    ),
    "bind9": Server(
        ("bind9", "bind9-dnsutils"),
        ("named",),
        "dig +short @127.0.0.1 localhost; dig +short @127.0.0.1 -x 127.0.0.1",
        r"127\.0\.0\.1\nlocalhost\.",
    ),
    "haproxy": Server(
        ("haproxy",),
        ("haproxy",),
        _ask(8080, "GET / HTTP/1.0\\r\\n\\r\\n", 20),
        r"HTTP/1\.[01] 200 OK[^\0]*by-haproxy",
        opened={"allow_mount": True},
        why="its unit shows it `/dev/log` elsewhere, by a mount namespace (`BindReadOnlyPaths=`)",
        setting_up="printf 'frontend probe\\n bind :8080\\n http-request return status 200 content-type text/plain"
        " string by-haproxy\\n' >> /etc/haproxy/haproxy.cfg",
    ),
    "squid": Server(
        ("squid",),
        ("squid",),
        _ask(3128, "GET http://$FORWARDER/ HTTP/1.0\\r\\n\\r\\n", 40),
        r"HTTP/1\.1 200[^\0]*Via: .*squid[^\0]*what a web server has",
    ),
    "vsftpd": Server(
        ("vsftpd", "ftp"),
        ("vsftpd",),
        "printf 'user probe secret-word\\npwd\\nls\\nquit\\n' | ftp -n 127.0.0.1",
        r"/home/probe[^\0]*a-file",
        setting_up="useradd -m -s /bin/bash probe; echo probe:secret-word | chpasswd; touch /home/probe/a-file",
    ),
    "dovecot": Server(
        ("dovecot-imapd",),
        ("dovecot",),
        _ask(143, "a login probe secret-word\\r\\nb select inbox\\r\\nc logout\\r\\n", 12),
        r"\* OK [^\0]*a OK [^\0]*b OK ",
        setting_up="useradd -m probe; echo probe:secret-word | chpasswd",
    ),
    "samba": Server(
        ("samba", "smbclient"),
        ("smbd", "nmbd"),
        "smbclient //127.0.0.1/probe -U probe%secret-word -c 'ls; put /etc/hostname copy; ls copy'",
        r"a-file[^\0]*copy",
        setting_up="useradd -m probe; printf 'secret-word\\nsecret-word\\n' | smbpasswd -s -a probe;"
        " touch /home/probe/a-file;"
        " printf '[probe]\\n path = /home/probe\\n read only = no\\n' >> /etc/samba/smb.conf",
    ),
    "php-fpm": Server(
        ("php-fpm", "libfcgi-bin"),
        ("php8.2-fpm",),
        "REQUEST_METHOD=GET SCRIPT_FILENAME=/srv/x.php cgi-fcgi -bind -connect /run/php/php8.2-fpm.sock",
        r"php says 42",
        setting_up="echo '<?php echo \"php says \", 6 * 7;' > /srv/x.php",
    ),
    "node": Server(
        ("nodejs",),
        ("probe-node",),
        _ask(8081, "GET / HTTP/1.0\\r\\n\\r\\n", 20),
        r"200 OK[^\0]*node says 42",
        setting_up="echo 'require(\"http\").createServer((q, a) => a.end(`node says ${6 * 7}\\n`)).listen(8081)' >"
        " /srv/x.js; printf '[Service]\\nExecStart=/usr/bin/node /srv/x.js\\nUser=nobody\\n[Install]\\n"
        "WantedBy=multi-user.target\\n' > /etc/systemd/system/probe-node.service; systemctl enable probe-node",
    ),
    "python3-venv": Server(
        ("python3-venv",),
        ("probe-venv",),
        _ask(8082, "GET /page HTTP/1.0\\r\\n\\r\\n", 20) + "; /srv/venv/bin/python -c 'import sys; print(sys.prefix)'",
        r"200 OK[^\0]*python-page[^\0]*/srv/venv",
        setting_up="python3 -m venv /srv/venv; mkdir /srv/www; echo python-page > /srv/www/page; printf '[Service]\\n"
        "ExecStart=/srv/venv/bin/python -m http.server -d /srv/www 8082\\n[Install]\\nWantedBy=multi-user.target\\n' >"
        " /etc/systemd/system/probe-venv.service; systemctl enable probe-venv",
    ),
    "git": Server(
        ("git",),
        (),
        "git daemon --export-all --base-path=/srv --listen=127.0.0.1 --detach --pid-file=/run/git-probe;"
        " for i in $(seq 50); do (: > /dev/tcp/127.0.0.1/9418) 2>/dev/null && break; sleep 0.1; done;"
        " rm -rf /tmp/clone; git clone -q git://127.0.0.1/x.git /tmp/clone && cat /tmp/clone/page",
        r"committed",
        setting_up="git init -q /srv/x.git; cd /srv/x.git; echo committed > page; git add page;"
        " git -c user.name=p -c user.email=p@example.com commit -qm page",
    ),
    "rsync": Server(
        ("rsync",),
        ("rsync",),
        "rm -rf /tmp/copy; rsync -a rsync://127.0.0.1/probe/ /tmp/copy && cat /tmp/copy/page",
        r"rsync-page",
        setting_up="mkdir /srv/x; echo rsync-page > /srv/x/page;"
        " printf '[probe]\\npath = /srv/x\\n' > /etc/rsyncd.conf; systemctl enable rsync",
    ),
}
