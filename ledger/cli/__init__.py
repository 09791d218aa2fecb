"""The command line of the ledger itself; `projections.cli` adds the questions about its history.

`running` runs a command: one of `commands`, which is told what it needs to know by what is `typed`,
and hands its result to what is `shown`; `process` is what its process has. `listing` says what is
there before a command is imported, `examples` are in its help, `manual` has manual pages,
`mistyped` knows what a command may have meant, `wording` words refusals, and `parameters` is a
type of click's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import click

from ledger import __version__
from ledger.cli.listing import Listed, Loaded, Section
from ledger.cli.parameters import files
from ledger.cli.process.exits import MEANINGS
from ledger.cli.process.hosts import DbOption, host_of
from ledger.cli.running import Commands
from ledger.cli.shown.paging import no_pager_option
from ledger.cli.typed.keys import known_actors
from ledger.cli.typed.target import DEFAULT_DB, Target
from ledger.targets import BUSY_TIMEOUT_S

__all__ = ["COMMANDS", "program"]

LOOK, ASK, MOVE, KEEP = Section

# One command a line; projections.cli has the others.
# fmt: off
COMMANDS: tuple[Listed, ...] = (
    Listed(LOOK, "show", "ledger.cli.commands.showing:show_cursor", "Show one cursor."),
    Listed(LOOK, "history", "ledger.cli.commands.reading:history", "Show the entries of one cursor: all, or those of a span of time."),
    Listed(LOOK, "entries", "ledger.cli.commands.reading:entries", "Show the entries of the log by position: all, or those that match every option."),
    Listed(LOOK, "status", "ledger.cli.commands.reading:status", "Show up to which position the log is settled, and which transactions readers wait for."),
    Listed(MOVE, "advance", "ledger.cli.commands.writing:advance", "Confirm everything up to a sequence, or the next token."),
    Listed(MOVE, "error", "ledger.cli.commands.writing:error", "Record that a delivery failed; the cursor keeps its sequence."),
    Listed(MOVE, "append", "ledger.cli.commands.bulk:append", "Append requests from FILE, or - for standard input: one JSON object a line."),
    Listed(MOVE, "start", "ledger.cli.commands.writing:start", "Make a cursor that starts at a sequence; what lies before is before the ledger's time."),
    Listed(MOVE, "adopt", "ledger.cli.commands.adopting:adopt", "Plan to start cursors where another system has them; with --execute, start them."),
    Listed(MOVE, "heads", "ledger.cli.commands.heads:heads", "Show how far streams go; with --to, record it."),
    Listed(MOVE, "positions", "ledger.cli.commands.declaring:positions", "Show or declare what the positions of a stream are, beside the ledger's sequences."),
    Listed(MOVE, "policy", "ledger.cli.commands.policing:policy", "Show, set or drop the policies: what each reset must carry."),
    Listed(KEEP, "verify", "ledger.cli.commands.verifying:verify", "Check the tables, every chain, and every stored cursor against its entries."),
    Listed(KEEP, "checkpoint", "ledger.cli.commands.verifying:checkpoint", "Print the Merkle root over all entries: keep it elsewhere for verify --against."),
    Listed(KEEP, "key", "ledger.cli.commands.signers:key", "Make a key that signs or cosigns checkpoints, or show the key that verifies them."),
    Listed(KEEP, "cosign", "ledger.cli.commands.signers:cosign", "Look at a checkpoint as a witness, and print it with your cosignature."),
    Listed(KEEP, "proof", "ledger.cli.commands.proofs:proof", "Print the proof that the entry at POSITION is in a signed checkpoint."),
    Listed(KEEP, "verify-proof", "ledger.cli.commands.proofs:verify_proof", "Check the proof in FILE, without a ledger."),
    Listed(KEEP, "export", "ledger.cli.commands.exporting:export", "Write the log, or where cursors stand, in a format that is kept or that others read."),
    Listed(KEEP, "import", "ledger.cli.commands.importing:import_lines", "Continue the ledger with FILE, or - for standard input: what export or archive wrote."),
    Listed(KEEP, "evidence", "ledger.cli.commands.bundles:evidence", "Write entries, and what proves them, to a FILE that verify-evidence needs no ledger for."),
    Listed(KEEP, "verify-evidence", "ledger.cli.commands.bundles:verify_bundle", "Check the bundle of evidence in FILE, without a ledger."),
    Listed(KEEP, "archive", "ledger.cli.commands.archiving:archive", "Write all entries under a signed checkpoint to FILE, and verify what the disk gives back."),
    Listed(KEEP, "prune", "ledger.cli.commands.pruning:prune", "Plan to remove the entries that the archive FILE has; with --execute, remove them."),
    Listed(KEEP, "retention", "ledger.cli.commands.retaining:retention", "Show or say how long entries are kept at least, and hold them longer, for prune."),
    Listed(KEEP, "tiles", "ledger.cli.commands.tiling:tiles", "Write the tree of a signed checkpoint to FOLDER, as files that others read."),
    Listed(KEEP, "copy", "ledger.cli.commands.copying:copy", "Copy the ledger SOURCE to TARGET, which is made if it does not exist."),
    Listed(KEEP, "backup", "ledger.cli.commands.backing_up:backup", "Copy the ledger to FILE as it is now, while others write, and print its checkpoint."),
    Listed(KEEP, "restore", "ledger.cli.commands.restoring:restore", "Put the backup FILE in the place of the ledger, which is kept beside it."),
    Listed(KEEP, "man", "ledger.cli.manual:manual", "Print the manual page of the program, or of one COMMAND."),
)
# fmt: on


def program(
    commands: Iterable[Listed | click.Command], questions: Mapping[str, str] | None = None
) -> Commands:
    """Return the program `cursor-ledger` with these commands.

    `questions` are what its help ends with: each has the words that answer it.
    """

    @click.group(
        "cursor-ledger",
        cls=Commands,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        epilog=f"Exit codes: {', '.join(f'{code} {says}' for code, says in MEANINGS.items())}.",
    )
    @click.option(
        "--db",
        cls=DbOption,
        default=DEFAULT_DB,
        envvar="CURSOR_LEDGER_DB",
        show_default=True,
        show_envvar=True,
        metavar="TARGET",
        shell_complete=files,
        help="The ledger: the path of its file, or a postgresql:// URL.",
    )
    @click.option(
        "--actor",
        envvar="CURSOR_LEDGER_ACTOR",
        show_envvar=True,
        metavar="NAME",
        shell_complete=known_actors,
        help="The actor of what is appended.  [default: user@host]",
    )
    @click.option(
        "--busy-timeout",
        type=click.FloatRange(0, 86_400),
        default=BUSY_TIMEOUT_S,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for other writers.",
    )
    @no_pager_option
    @click.version_option(__version__, message="cursor-ledger %(version)s")
    @click.pass_context
    def main(context: click.Context, db: str, actor: str | None, busy_timeout: float) -> None:
        """Record who moved which cursor, from where to where, when and why; and answer questions.

        A cursor is named by CONSUMER STREAM [SUBJECT]. Results are a table on a terminal, and JSON
        lines in a pipe; --table, --json, --jsonl and --csv select another form.
        """
        host = host_of(context)
        context.obj = Target(path=db, actor=actor, busy_timeout_s=busy_timeout, host=host)

    main.commands = Loaded(commands)
    main.questions = questions or {}
    return main
