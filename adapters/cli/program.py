"""The program `gesta`: finds the command, runs it, and turns whatever comes of it into a code.

Rule 1: importing this imports click and no command; a command pays only for what it does.
Rule 2: an error is one line on standard error. Wrong usage is 2; our own refusal or failure is
125 in `run` and `exec`, where smaller numbers are the command's own, and 1 in every other command.
Rule 3: the three standard descriptors are open before anything else is: a file of ours that
became descriptor 1 would be written into.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

import click

from adapters.cli.printing import warn

REFUSED = 125
DENIED = 126
_EXECUTING = ("run", "exec")
_COMMANDS = {
    "run": ("running", "Run a command, or a job's steps, from opening to cleaning up."),
    "open": ("stepwise", "Open a run that outlives this process."),
    "exec": ("stepwise", "Execute a command in an open run."),
    "close": ("stepwise", "Close an open run: capture, clean up, complete."),
    "runs": ("runs", "List the runs on record."),
    "show": ("show", "Show one run whole."),
    "audit": ("audit", "Show what happened, event by event."),
    "replay": ("replay", "Fold a run again, or execute its commands again, and compare."),
    "rebuild": ("rebuild", "Fold the views anew from the events, or compare them."),
    "project": ("project", "Fold the events with a projection of your own."),
    "output": ("output", "Print what a command printed."),
    "diff": ("patches", "Print what a run changed, as a patch."),
    "apply": ("patches", "Put what a run changed on the checkout."),
    "export": ("exporting", "Export the events themselves, for other tools."),
    "import": ("importing", "Take over a journal of the system that gesta replaces."),
    "verify": ("verify", "Check the log against itself and against what you kept."),
    "key": ("keys", "Show and change the key that signs the log."),
    "checkpoint": ("checkpoint", "Print the signed head of the log."),
    "witness": ("witness", "Have others vouch for the head; vouch for the heads of others."),
    "evidence": ("evidence", "Write a file that shows a run to somebody who has nothing of ours."),
    "recover": ("recover", "End runs whose process died, and clean up after them."),
    "gc": ("gc", "Remove what is left of ended runs, and of none."),
    "backup": ("backup", "Write the whole ledger to a file, while it is in use."),
    "restore": ("backup", "Put a backup into a new home."),
    "store": ("store", "Make the event store, or bring it to this version."),
    "policy": ("policy", "Check, show and begin policy profiles."),
    "doctor": ("doctor", "Say what works on this machine."),
}


class Program(click.Group):
    """The group of all commands; *chosen* is the one that was called."""

    chosen: str | None = None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of the help text."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command, and return it."""
        if cmd_name not in _COMMANDS:
            return None
        from importlib import import_module

        module = import_module(f"adapters.cli.{_COMMANDS[cmd_name][0]}")
        self.chosen = cmd_name
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, said) for name, (_, said) in _COMMANDS.items()])


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"gesta {version('gesta')}")
    except PackageNotFoundError:
        click.echo("gesta, from a checkout that is not installed")
    ctx.exit()


def _program() -> Program:
    version = click.Option(
        ["--version"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_print_version,
        help="Show the version and exit.",
    )
    said = "An execution ledger: what ran, where, under which policy, with what isolation."
    return Program(
        name="gesta", help=said, params=[version], context_settings={"max_content_width": 100}
    )


def run_program() -> NoReturn:
    """Run the command of this process's arguments and exit with its code."""
    program = _program()
    if "_GESTA_COMPLETE" in os.environ:
        program.main(prog_name="gesta")
    run_command(program, "gesta")


def run_command(command: click.Command, name: str) -> NoReturn:
    """Run *command*, called *name*, with this process's arguments, and exit with its code."""
    _open_standard_descriptors()
    code = _run(command, name, sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:
        code = code or _broken_pipe()
    # Whatever is left in the buffers could not be written, and cannot be at the end either.
    sys.exit(code)


def _run(command: click.Command, name: str, arguments: list[str]) -> int:
    try:
        if strange := strange_package():
            warn(strange)
            return REFUSED
        with command.make_context(name, arguments) as context:
            code = command.invoke(context)
    except click.exceptions.Exit as asked:
        return asked.exit_code
    except (KeyboardInterrupt, click.Abort):
        return 128 + signal.SIGINT
    except BrokenPipeError:
        return _broken_pipe()
    except Exception as error:
        chosen = getattr(command, "chosen", None)
        return _code_of(error, REFUSED if chosen in _EXECUTING else 1)
    return code if isinstance(code, int) else 0


def _code_of(error: Exception, otherwise: int) -> int:
    from ledger.errors import CommandNotAllowed, GestaError, InputInvalid

    match error:
        case click.ClickException():
            warn(_usage(error))
            return 2
        case GestaError():
            warn(str(error))
            if isinstance(error, InputInvalid):
                return 2
            denied = isinstance(error, CommandNotAllowed) and otherwise == REFUSED
            return DENIED if denied else otherwise
        case _ if os.environ.get("GESTA_DEBUG") == "1":
            raise error
        case _:
            said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            warn(f"cannot go on: {said}; set GESTA_DEBUG=1 to see where")
            return otherwise


def _usage(error: click.ClickException) -> str:
    message = error.format_message().strip().rstrip(".").replace("\n", " ")
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "gesta"
    said = message[:1].lower() + message[1:]
    return f"cannot understand the command line: {said}; see `{path} --help`"


def strange_package() -> str | None:
    """Return what is wrong if another distribution's packages stand where ours should."""
    import adapters
    import ledger
    import projections

    ours = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    names = {adapters: {"open_ledger"}, ledger: {"ActiveRun"}, projections: {"Projection"}}
    for package, exported in names.items():
        directory = os.path.dirname(os.path.abspath(package.__file__ or ""))
        is_here = directory == os.path.join(ours, package.__name__)
        if not is_here or not exported <= set(getattr(package, "__all__", ())):
            return (
                f"cannot run: package {package.__name__} in {directory} is not gesta's; another "
                "distribution has overwritten it; install gesta into an environment of its own"
            )
    return None


def _open_standard_descriptors() -> None:
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free descriptor is the one that is missing.
            os.open(os.devnull, os.O_RDWR)
    # Python has None for a stream whose descriptor was closed when it started.
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8")


def _broken_pipe() -> int:
    # What is still in the buffer goes nowhere; otherwise Python complains when it exits.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE
