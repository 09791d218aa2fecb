"""The command line of the ledger itself; `projections.cli` adds the questions about its history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import click

from ledger import __version__
from ledger.cli.hosts import DbOption, host_of
from ledger.cli.keys import known_actors
from ledger.cli.listing import Listed, Loaded, Section
from ledger.cli.paging import no_pager_option
from ledger.cli.parameters import files
from ledger.cli.running import Commands
from ledger.cli.target import DEFAULT_DB, Target
from ledger.targets import BUSY_TIMEOUT_S

__all__ = ["commands", "program"]

LOOK, ASK, MOVE, KEEP = Section

# One command a line; projections.cli has the others.
# fmt: off
commands: tuple[Listed, ...] = (
    Listed(LOOK, "show", "ledger.cli.showing:show_cursor", "Show one cursor."),
    Listed(LOOK, "history", "ledger.cli.reading:history", "Show the entries of one cursor: all, or those of a span of time."),
    Listed(LOOK, "entries", "ledger.cli.reading:entries", "Show the entries of the log by position: all, or those that match every option."),
    Listed(LOOK, "status", "ledger.cli.reading:status", "Show up to which position the log is settled, and which transactions readers wait for."),
    Listed(MOVE, "advance", "ledger.cli.writing:advance", "Confirm everything up to a sequence, or the next token."),
    Listed(MOVE, "error", "ledger.cli.writing:error", "Record that a delivery failed; the cursor keeps its sequence."),
    Listed(MOVE, "append", "ledger.cli.bulk:append", "Append requests from FILE, or - for standard input: one JSON object a line."),
    Listed(MOVE, "start", "ledger.cli.writing:start", "Make a cursor that starts at a sequence; what lies before is before the ledger's time."),
    Listed(MOVE, "adopt", "ledger.cli.adopting:adopt", "Plan to start cursors where another system has them; with --execute, start them."),
    Listed(MOVE, "heads", "ledger.cli.heads:heads", "Show how far streams go; with --to, record it."),
    Listed(MOVE, "positions", "ledger.cli.declaring:positions", "Show or declare what the positions of a stream are, beside the ledger's sequences."),
    Listed(MOVE, "policy", "ledger.cli.policing:policy", "Show, set or drop the policies: what each reset must carry."),
    Listed(KEEP, "verify", "ledger.cli.verifying:verify", "Check the tables, every chain, and every stored cursor against its entries."),
    Listed(KEEP, "checkpoint", "ledger.cli.verifying:checkpoint", "Print the Merkle root over all entries: keep it elsewhere for verify --against."),
    Listed(KEEP, "key", "ledger.cli.signers:key", "Make a key that signs or cosigns checkpoints, or show the key that verifies them."),
    Listed(KEEP, "cosign", "ledger.cli.signers:cosign", "Look at a checkpoint as a witness, and print it with your cosignature."),
    Listed(KEEP, "proof", "ledger.cli.proofs:proof", "Print the proof that the entry at POSITION is in a signed checkpoint."),
    Listed(KEEP, "verify-proof", "ledger.cli.proofs:verify_proof", "Check the proof in FILE, without a ledger."),
    Listed(KEEP, "export", "ledger.cli.exporting:export", "Write the log, or where cursors stand, in a format that is kept or that others read."),
    Listed(KEEP, "import", "ledger.cli.importing:import_lines", "Continue the ledger with FILE, or - for standard input: what export or archive wrote."),
    Listed(KEEP, "evidence", "ledger.cli.bundles:evidence", "Write entries, and what proves them, to a FILE that verify-evidence needs no ledger for."),
    Listed(KEEP, "verify-evidence", "ledger.cli.bundles:verify_bundle", "Check the bundle of evidence in FILE, without a ledger."),
    Listed(KEEP, "archive", "ledger.cli.archiving:archive", "Write all entries under a signed checkpoint to FILE, and verify what the disk gives back."),
    Listed(KEEP, "prune", "ledger.cli.pruning:prune", "Plan to remove the entries that the archive FILE has; with --execute, remove them."),
    Listed(KEEP, "retention", "ledger.cli.retaining:retention", "Show or say how long entries are kept at least, and hold them longer, for prune."),
    Listed(KEEP, "tiles", "ledger.cli.tiling:tiles", "Write the tree of a signed checkpoint to FOLDER, as files that others read."),
    Listed(KEEP, "copy", "ledger.cli.copying:copy", "Copy the ledger SOURCE to TARGET, which is made if it does not exist."),
    Listed(KEEP, "backup", "ledger.cli.backing_up:backup", "Copy the ledger to FILE as it is now, while others write, and print its checkpoint."),
    Listed(KEEP, "restore", "ledger.cli.restoring:restore", "Put the backup FILE in the place of the ledger, which is kept beside it."),
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
        epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by the law, "
        "4 no such cursor, 5 verification failed, 6 further behind than allowed, 70 a bug in "
        "cursor-ledger, 74 appended, but the output failed, 75 busy, try again, 130 interrupted.",
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
