# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``jail``: jails by hand, on the host.

What a command needs is imported where it is needed: ``jail exec`` has to be quick, and needs the least.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, Callable

from . import cli_stat, cli_trees, harmless, table
from .errors import JailError
from .jail import enter, live, names, policy, store
from .kernel import image, process

_COLUMNS = ("NAME", "STATUS", "PID", "PROCESSES", "MEMORY", "ADDRESSES", "TEMPLATE")
_TEMPLATE_COLUMNS = ("KEY", "METHOD", "RELEASE", "BUILT", "AGE", "SIZE", "GROUP", "JAILS")
_SHARING_COLUMNS = ("NAME", "BEFORE", "AFTER", "DROPPED", "COPIED", "SHARED", "NOTE")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    process.open_standard_streams()
    options = _parser().parse_args(arguments)
    if os.geteuid() != 0:
        _complain("only root can do this")
        return enter.NOT_STARTED
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except enter.CommandError as error:
        _complain(f"{options.name}: {error}")
        return error.status
    except JailError as error:
        _complain(f"{options.name}: {error}" if hasattr(options, "name") else str(error))
    except OSError as error:
        _complain(str(error))
    return enter.NOT_STARTED


def _complain(text: str) -> None:
    sys.stderr.write(f"jail: {harmless.text(text)}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="jail", description="Guests that share this host's kernel.")
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def verb(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    listing = verb("ls", _ls, "list the jails of this host")
    listing.add_argument("--json", action="store_true", help="print JSON with all that is known")
    for name, run, text in (
        ("start", _start, "start a jail"),
        ("stop", _stop, "stop a jail"),
        ("restart", _restart, "stop a jail if it runs, and start it"),
        ("freeze", _freeze, "hold a running jail still; it keeps what it has"),
        ("thaw", _thaw, "let a frozen jail go on"),
        ("enter", _enter, "open a shell in a jail, on a terminal of its own"),
    ):
        verb(name, run, text).add_argument("name", type=_name)
    log = verb("log", _log, "print what a jail's init printed")
    log.add_argument("-n", "--lines", type=int, default=None, help="only the last lines")
    log.add_argument("name", type=_name)
    running = verb("exec", _exec, "run a command in a jail; its exit status is ours (125 to 127: it did not run)")
    running.add_argument(
        "-u", "--user", type=_user, default=(0, 0), metavar="UID[:GID]", help="numbers inside the jail"
    )
    running.add_argument("-w", "--workdir", default="/", help="directory inside the jail")
    running.add_argument("-e", "--env", action="append", default=[], type=_variable, metavar="NAME=VALUE")
    running.add_argument(
        "--report",
        metavar="WORD",
        help="for programs: exit with 0 and end standard error by a line with WORD and the command's exit status; hang "
        "up the command when nobody reads standard error any more",
    )
    running.add_argument("name", type=_name)
    running.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="the command and its arguments"
    )
    auditing = verb("audit", _audit, "attest what holds a running jail; exit status 1 where anything has drifted")
    auditing.add_argument("--json", action="store_true", help="print JSON")
    auditing.add_argument("name", type=_name)
    _add_template_verbs(verbs.add_parser("template", help="list and remove templates"))
    _add_prune_options(verb("prune", _prune, "remove what nobody needs, and say what that was"))
    renewing = verb("renew", _renew, "have a stopped jail start next with a new machine id and new SSH host keys")
    renewing.add_argument("name", type=_name)
    sharing = verb("dedupe", _dedupe, "give back the space of equal files that jails hold each for itself")
    sharing.add_argument("names", nargs="*", type=_name, metavar="NAME", help="only these jails, instead of all")
    sharing.add_argument("--json", action="store_true", help="print JSON")
    cli_stat.add(verbs, _name)
    cli_trees.add(verbs, _name)
    verb("purge", _purge, "remove unused templates, caches and this command; refuses while there is a jail")
    return parser


def _add_template_verbs(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    listing = verbs.add_parser("ls", help="list the templates of this host")
    listing.add_argument("--json", action="store_true", help="print JSON with all that is known")
    listing.set_defaults(run=_template_ls)
    removing = verbs.add_parser("rm", help="remove a template; refuses while a jail is nothing without it")
    removing.add_argument("key", nargs="+", type=_key)
    removing.set_defaults(run=_template_rm)


def _add_prune_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--templates", action="store_true", help="templates that no jail came from")
    parser.add_argument("--cache", action="store_true", help="what builders keep of their downloads")
    parser.add_argument("--older-than", type=_age, default=0, metavar="AGE", help="only what is older, such as 7d")
    parser.add_argument("--keep-newest", action="store_true", help="not the newest template of a recipe")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")


def _name(text: str) -> str:
    try:
        return names.check(text)
    except JailError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _key(text: str) -> str:
    if not text or text.startswith(".") or "/" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not the key of a template; jail template ls has them")
    return text


def _age(text: str) -> int:
    from .jail import ages

    try:
        return ages.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _user(text: str) -> tuple[int, int]:
    uid, _colon, gid = text.partition(":")
    if not uid.isdigit() or (gid and not gid.isdigit()):
        raise argparse.ArgumentTypeError(
            "write UID or UID:GID, in numbers; the jail's own files are not asked for names"
        )
    return int(uid), int(gid or uid)


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError("write NAME=VALUE")
    return name, value


def _ls(options: argparse.Namespace) -> int:
    from .jail import info

    found = {name: info.gather(name, ("rootfs", "net", "usage", "limits", "state")) for name in info.names()}
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return 0
    _print_table([_COLUMNS, *(_row(name, jail) for name, jail in found.items())])
    return 0


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    sys.stdout.writelines(table.lines(rows))


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):.1f}M"


def _row(name: str, jail: dict[str, Any]) -> tuple[str, ...]:
    usage = jail["usage"] or {}
    memory = usage.get("memory")
    own = [address for interface in jail["net"]["interfaces"] for address in interface["addresses"]]
    addresses = ["host"] if jail["net"]["network"] == "host" else own
    return (
        name,
        jail["status"],
        str(jail["pid"] or "-"),
        str(usage.get("processes", "-")),
        _mebibytes(memory) if memory is not None else "-",
        ",".join(addresses) or "-",
        (jail["rootfs"] or {}).get("template", "-"),
    )


def _dedupe(options: argparse.Namespace) -> int:
    from .jail import dedupe

    outcomes = dedupe.share_again(options.names or None, None, check=False)
    if options.json:
        shown = {name: outcome.shown() for name, outcome in outcomes.items()}
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
    else:
        rows = [
            (
                name,
                *map(_mebibytes, outcome.bytes),
                *(str(number) for number in (outcome.dropped, outcome.copied_up, outcome.deduplicated)),
                outcome.error or outcome.skipped or "",
            )
            for name, outcome in outcomes.items()
        ]
        _print_table([_SHARING_COLUMNS, *rows])
    return int(any(outcome.error for outcome in outcomes.values()))


def _start(options: argparse.Namespace) -> int:
    from .jail import start

    with store.locked(options.name):
        if live.find(options.name) is not None:
            return 0
        start.start(options.name)
    return _settled(options.name)


def _stop(options: argparse.Namespace) -> int:
    from .jail import stop

    live.expect_known(options.name)
    with store.locked(options.name):
        stop.stop_as_desired(options.name)
    return 0


def _restart(options: argparse.Namespace) -> int:
    from .jail import start, stop

    live.expect_known(options.name)
    with store.locked(options.name):
        stop.stop_as_desired(options.name)
        start.start(options.name)
    return _settled(options.name)


def _freeze(options: argparse.Namespace) -> int:
    from .jail import freeze

    with store.locked(options.name):
        freeze.freeze(live.expect(options.name))
    return 0


def _thaw(options: argparse.Namespace) -> int:
    from .jail import freeze

    with store.locked(options.name):
        freeze.thaw(live.expect(options.name))
    return 0


def _settled(name: str) -> int:
    from .jail import start

    for sentence in start.settle([name]).values():
        raise JailError(sentence)
    return 0


def _exec(options: argparse.Namespace) -> int:
    argv = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not argv:
        raise JailError("no command was given", advice=f"write: jail exec {options.name} -- COMMAND")
    environment = {**policy.ENVIRONMENT, **_terminal_type(), **dict(options.env)}
    command = enter.Command(argv, environment, options.workdir, *options.user)
    if options.report is None:
        return _run_in(live.expect(options.name), command)
    status = _run_in(live.expect(options.name), command, listeners=[2])
    with contextlib.suppress(BrokenPipeError):  # nobody reads it
        os.write(2, f"{options.report} {status}\n".encode())
    return 0


def _enter(options: argparse.Namespace) -> int:
    shell = ["/bin/sh", "-c", "if [ -x /bin/bash ]; then exec /bin/bash -l; else exec /bin/sh -l; fi"]
    command = enter.Command(shell, {**policy.ENVIRONMENT, **_terminal_type()}, "/")
    return _run_in(live.expect(options.name), command)


def _run_in(running: live.Running, command: enter.Command, listeners: Sequence[int] = ()) -> int:
    if running.first_id is None and not image.is_read_only():
        image.execute_read_only([sys.executable, "-I", *sys.argv], os.environ)
    return enter.execute(running, command, listeners)


def _terminal_type() -> dict[str, str]:
    """The kind of terminal that we stand for: the one thing of the caller's environment that a command in the jail
    gets."""
    return {"TERM": os.environ["TERM"]} if "TERM" in os.environ else {}


def _audit(options: argparse.Namespace) -> int:
    from .jail.isolation import attest, audit

    found = attest.facts(live.expect(options.name))
    if options.json:
        sys.stdout.write(json.dumps(attest.as_dict(found), indent=2) + "\n")
    else:
        coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        sys.stdout.writelines(f"{line}\n" for line in [*audit.lines(found, coloured), audit.summary(found)])
    return int(any(not fact.holds for fact in found))


def _log(options: argparse.Namespace) -> int:
    from .jail import console

    live.expect_known(options.name)
    with store.locked_if_free(options.name) as ours:
        if ours:
            console.keep(options.name)
    lines = console.last_lines(options.name, options.lines)
    if sys.stdout.isatty():
        lines = [console.harmless(line).encode() for line in lines]
    sys.stdout.buffer.write(b"".join(lines))
    return 0


def _template_ls(options: argparse.Namespace) -> int:
    from .jail import info

    found = info.gather_templates()
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        _print_table([_TEMPLATE_COLUMNS, *(_template_row(key, template) for key, template in found.items())])
    return 0


def _template_row(key: str, template: dict[str, Any]) -> tuple[str, ...]:
    from .jail import ages

    return (
        key,
        template["method"],
        template["release"] or "-",
        template["built"],
        ages.show(template["age"]),
        _mebibytes(template["size"]),
        template["trust_group"],
        ",".join(template["jails"]) or "-",
    )


def _template_rm(options: argparse.Namespace) -> int:
    from .rootfs import templates

    for key in options.key:
        if not templates.exists(key):
            raise JailError(f"there is no template {key}", advice="jail template ls has them all")
        templates.remove(key)
    return 0


def _prune(options: argparse.Namespace) -> int:
    from .rootfs import prune

    if not options.templates and not options.cache:
        raise JailError("nothing was chosen", advice="say --templates, --cache, or both")
    wish = prune.Wish(options.templates, options.cache, options.older_than, options.keep_newest)
    items = prune.find(wish) if options.dry_run else prune.remove(wish)
    for item in items:
        sys.stdout.write(f"{item.kind} {item.name} {_mebibytes(item.bytes)}\n")
    done = "would be free" if options.dry_run else "freed"
    sys.stdout.write(f"{_mebibytes(sum(item.bytes for item in items))} {done}\n")
    return 0


def _renew(options: argparse.Namespace) -> int:
    from .jail import identity

    live.expect_known(options.name)
    with store.locked(options.name):
        if live.find(options.name) is not None:
            raise JailError("it runs", advice=f"stop it first: jail stop {options.name}")
        identity.renew(options.name)
    return 0


def _purge(_options: argparse.Namespace) -> int:
    from .jail import purge

    purge.purge()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
