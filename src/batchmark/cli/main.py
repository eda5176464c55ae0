"""The command `batchmark`: find the command, run it, turn every ending into an exit code.

Imports are few on purpose: `--help` answers in 0.2 s, and a provider's SDK is imported by the commands that talk to it alone.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from batchmark.cli import (
    compare_command,
    doctor_command,
    emulator_command,
    estimate_command,
    provider_commands,
    report_command,
    run_commands,
)
from batchmark.cli.output import print_error
from batchmark.errors import BadInput, BatchmarkError, Interrupted, LocalTrouble
from batchmark.providers.registry import BUILT_IN, find
from batchmark.version import __version__

__all__ = ["app", "main"]

_COMMAND_IN_HINT = re.compile(r"batchmark (?:\w+ )?(?:results|status|cancel|list)\b[^\n,;]*")
# The base of all usage errors. Newer releases of typer carry click inside, so it is reached by typer's own public name.
_ClickException: Any = typer.BadParameter.__mro__[2]

EPILOG = """Exit codes: 0 done; 1 done, but some requests have no usable answer; 2 bad usage or input; 3 configuration or credentials;
4 the provider refused; 5 a submission is ambiguous and needs a look; 6 unreachable, or this machine is in the way; 130 interrupted."""

app = typer.Typer(
    name="batchmark",
    help="Run an LLM workload through the Batch API of any provider, safely, and compare providers honestly.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"batchmark {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


for _spec in BUILT_IN.values():
    app.add_typer(
        provider_commands.commands_of(_spec.name),
        name=_spec.name,
        help=f"Batches of {_spec.title}.",
        rich_help_panel=None,
    )
app.command("run")(run_commands.run)
app.command("compare")(compare_command.compare)
app.command("report")(report_command.report)
app.command("estimate")(estimate_command.estimate)
app.command("runs")(run_commands.runs)
app.command("show")(run_commands.show)
app.command("watch")(run_commands.watch)
app.command("resume")(run_commands.resume)
app.command("cancel")(run_commands.cancel)
app.command("export")(run_commands.export)
app.command("clean")(run_commands.clean)
app.command("doctor")(doctor_command.doctor)
app.add_typer(emulator_command.app, name="emulator")

_COMMANDS = (
    "cancel",
    "clean",
    "compare",
    "doctor",
    "emulator",
    "estimate",
    "export",
    "report",
    "resume",
    "run",
    "runs",
    "show",
    "watch",
    *BUILT_IN,
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and leave with its exit code."""
    sys.exit(run(sys.argv[1:] if argv is None else list(argv)))


def run(argv: list[str]) -> int:
    """Run a command and return its exit code."""
    try:
        _know_plugins(argv)
        result = app(argv, prog_name="batchmark", standalone_mode=False)
        sys.stdout.flush()
        if result == Interrupted.exit_code:
            # typer turns an interrupt that no command took into this result, without a word
            raise KeyboardInterrupt
        return result if isinstance(result, int) else 0
    except BatchmarkError as error:
        if "--emulate" in argv and error.hint:
            error.hint = _COMMAND_IN_HINT.sub(_with_emulate, error.hint)
        print_error(error)
        return error.exit_code
    except _ClickException as error:
        return _usage(error)
    except (typer.Abort, KeyboardInterrupt):
        print_error(Interrupted("state is safe"))
        return Interrupted.exit_code
    except OSError as error:
        if isinstance(error, BrokenPipeError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return _gone_or_bug(error)
        print_error(
            LocalTrouble(
                "the disk, or what the output goes to, is full; what was saved is safe",
                hint="free some space, then try again",
            )
        )
        _drop_stdout()
        return LocalTrouble.exit_code
    except Exception:  # noqa: BLE001  whatever is left is a bug of ours, and no user should have to read its trace
        return _bug()


def _gone_or_bug(error: OSError) -> int:
    """The reader of our output may have gone, which is no error of this command."""
    if not isinstance(error, BrokenPipeError):
        return _bug()
    _drop_stdout()
    return 0


def _drop_stdout() -> None:
    """What is still buffered goes nowhere, so that leaving does not fail over it once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _with_emulate(match: re.Match[str]) -> str:
    """A command that a hint names stays in the emulated world."""
    return match[0] if "--emulate" in match[0] else f"{match[0]} --emulate"


def _usage(error: Any) -> int:
    """Say what was wrong with the words of the call; a group named alone shows its help instead."""
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(error.format_message() + "\n")
        return 2
    context = getattr(error, "ctx", None)
    where = context.command_path if context is not None else "batchmark"
    print_error(BadInput(error.format_message().strip().rstrip("."), hint=f"see: {where} --help"))
    return 2


def _know_plugins(argv: list[str]) -> None:
    """A provider that a plug-in brings becomes a command when it is named."""
    if argv and not argv[0].startswith("-") and argv[0] not in _COMMANDS:
        try:
            spec = find(argv[0])
        except BadInput:
            known = ", ".join(sorted(_COMMANDS))
            raise BadInput(f"there is no provider or command {argv[0]!r}", hint=f"there are: {known}") from None
        app.add_typer(provider_commands.commands_of(spec.name), name=spec.name, help=f"Batches of {spec.title}.")


def _bug() -> int:
    """Write the trace to a log file and say where it is."""
    from batchmark.api.workspace import home_folder
    from batchmark.errors import redact

    moment = datetime.now(UTC)
    trace = redact(traceback.format_exc())
    name = f"bug-{moment:%Y%m%d-%H%M%S}-{os.getpid()}.log"
    try:
        folder = home_folder(os.environ) / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        path.write_text(f"batchmark {__version__}, Python {sys.version.split()[0]}, {moment.isoformat()}\n{trace}")
        where = f"the trace is in {path}"
    except OSError:
        where = f"no log could be written: {trace.strip().splitlines()[-1]}"
    sys.stderr.write(f"error: a bug in batchmark; {where}. What was saved is safe\n")
    sys.stderr.write("hint: please report it with that file\n")
    return 70


if __name__ == "__main__":
    main()
