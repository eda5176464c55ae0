"""`batchmark PROVIDER create | list | status | results | cancel | delete | list-models`, one set of commands for every provider."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from batchmark.cli.options import Emulate, Json, Quiet

__all__ = ["commands_of"]

Id = Annotated[str | None, typer.Argument(metavar="[ID]", help="The provider's batch id or ours.", show_default=False)]
JobId = Annotated[
    str | None, typer.Option("--job-id", "--job_id", metavar="ID", help="The same, as an option.", show_default=False)
]
Model = Annotated[
    str | None,
    typer.Option("--model", "-m", help="The model to ask. Default: the input's own, else the provider's cheapest."),
]


def commands_of(name: str) -> typer.Typer:
    """The commands of one provider."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

    @app.command()
    def create(
        input: Annotated[
            Path | None,
            typer.Argument(help="A JSONL file of rows. Default: the bundled sample questions.", show_default=False),
        ] = None,
        model: Model = None,
        jobs: Annotated[int, typer.Option(min=1, max=1000, help="How many batches of the same rows.")] = 1,
        requests: Annotated[
            int | None, typer.Option(min=1, help="Requests per batch; repeats the rows where there are fewer.")
        ] = None,
        wait: Annotated[
            bool, typer.Option("--wait/--no-wait", help="Wait for the answers, or return once the batch exists.")
        ] = True,
        output: Annotated[
            Path | None, typer.Option("--output", "-o", help="Write the answers here too (with one batch).")
        ] = None,
        emulate: Emulate = False,
        json: Json = False,
        quiet: Quiet = False,
    ) -> int:
        """Create a batch, wait for it, and retrieve and sum up its answers."""
        from batchmark.cli import create_command

        return create_command.create(
            name,
            input,
            model=model,
            jobs=jobs,
            requests=requests,
            wait=wait,
            output=output,
            emulate=emulate,
            json=json,
            quiet=quiet,
        )

    @app.command("list")
    def list_(
        limit: Annotated[int | None, typer.Option(min=1, help="The newest so many. Default: 20.")] = None,
        hours: Annotated[
            float | None, typer.Option(min=0.0, max=87_600.0, help="Those created in the last so many hours.")
        ] = None,
        emulate: Emulate = False,
        json: Json = False,
        quiet: Quiet = False,
    ) -> int:
        """List the account's batches, newest first."""
        from batchmark.cli import batch_commands

        return batch_commands.list_(name, limit=limit, hours=hours, emulate=emulate, json=json, quiet=quiet)

    @app.command()
    def status(
        id: Id = None,
        job_id: JobId = None,
        emulate: Emulate = False,
        json: Json = False,
        quiet: Quiet = False,
    ) -> int:
        """Show where a batch or job stands now."""
        from batchmark.cli import batch_commands

        return batch_commands.status(name, _id(id, job_id), emulate=emulate, json=json, quiet=quiet)

    @app.command()
    def results(
        id: Id = None,
        job_id: JobId = None,
        output: Annotated[
            Path | None, typer.Option("--output", "-o", help="Write the answers to this file instead of stdout.")
        ] = None,
        wait: Annotated[bool, typer.Option("--wait", help="Wait until the batch has ended.")] = False,
        emulate: Emulate = False,
        json: Json = False,
        quiet: Quiet = False,
    ) -> int:
        """Write the answers of an ended batch, one JSON object a line in the order of the input."""
        from batchmark.cli import batch_commands

        return batch_commands.results(
            name, _id(id, job_id), output=output, wait=wait, emulate=emulate, json=json, quiet=quiet
        )

    @app.command()
    def cancel(
        id: Id = None,
        job_id: JobId = None,
        emulate: Emulate = False,
        json: Json = False,
        quiet: Quiet = False,
    ) -> int:
        """Ask the provider to stop a batch. What is finished is kept, is paid for, and can be fetched."""
        from batchmark.cli import batch_commands

        return batch_commands.cancel(name, _id(id, job_id), emulate=emulate, json=json, quiet=quiet)

    @app.command()
    def delete(
        id: Id = None,
        job_id: JobId = None,
        emulate: Emulate = False,
        json: Json = False,
        quiet: Quiet = False,
    ) -> int:
        """Remove a batch from the account (not at OpenAI, whose API cannot). Answers already here are kept."""
        from batchmark.cli import batch_commands

        return batch_commands.delete(name, _id(id, job_id), emulate=emulate, json=json, quiet=quiet)

    @app.command("list-models")
    def list_models(emulate: Emulate = False, json: Json = False, quiet: Quiet = False) -> int:
        """List the models that can be batched."""
        from batchmark.cli import batch_commands

        return batch_commands.list_models(name, emulate=emulate, json=json, quiet=quiet)

    return app


def _id(argument: str | None, option: str | None) -> str:
    if argument and option and argument != option:
        _bad("two different ids were given")
    chosen = argument or option
    if not chosen:
        _bad("no id was given", "name a batch or job: its id, or --job_id ID")
    return chosen


def _bad(message: str, hint: str | None = None) -> NoReturn:
    from batchmark.errors import BadInput

    raise BadInput(message, hint=hint)
