"""The zone in which tables tell times, and in which a time that was typed without one is meant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ledger.cli.parameters import Parameter, beginning

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from click.shell_completion import CompletionItem

__all__ = ["Zone", "current_zone", "zone_of", "zone_option"]

_META = "ledger.cli.zone"


class Zone(NamedTuple):
    """A time zone and its name; `tz` is None for the zone of this machine."""

    name: str
    tz: tzinfo | None

    def of(self, time: datetime) -> datetime:
        """Return `time` as clocks of this zone show it; at the ends of the calendar, in UTC."""
        try:
            return time.astimezone(self.tz)
        except (OverflowError, ValueError, OSError):
            return time.astimezone(UTC)

    def at(self, *parts: int) -> datetime:
        """Return the moment at which clocks of this zone show `parts`, in UTC.

        Raises ValueError, OverflowError if there is none.
        """
        return datetime(*parts, tzinfo=self.tz).astimezone(UTC)  # type: ignore[arg-type, misc]

    @property
    def heading(self) -> str:
        """Its name as the heading of a column has it: that of the city."""
        return self.name.rpartition("/")[2]


_UTC = Zone("UTC", UTC)


def current_zone() -> Zone:
    """Return the zone of the command that runs: UTC, if no other one was asked for."""
    context = click.get_current_context(silent=True)
    zone: Zone = _UTC if context is None else context.meta.get(_META, _UTC)
    return zone


class _ZoneName(Parameter[Zone]):
    """The name of a time zone, an offset from UTC, or local."""

    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Zone:
        """Return the zone that is named."""
        if isinstance(value, Zone):
            return value
        name = value.strip()
        zone = zone_of(name)
        if zone is None:
            from difflib import get_close_matches
            from zoneinfo import available_timezones

            near = get_close_matches(name, sorted(available_timezones()), n=2, cutoff=0.7)
            advice = (
                f"Did you mean {' or '.join(near)}?"
                if near
                else "Write one like Europe/Berlin, UTC, +02:00, or local for that of this machine."
            )
            self.fail(
                f"{name!r:.60} is not a time zone that this machine knows. {advice}", param, ctx
            )
        return zone

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the name of a zone that this machine knows."""
        from zoneinfo import available_timezones

        del ctx, param
        return beginning(["local", *sorted(available_timezones())], incomplete)


def zone_of(name: str) -> Zone | None:
    """Return the zone that is called so here: by an offset, or by a name of the tz database."""
    if name.upper() in {"UTC", "Z"}:
        return _UTC
    if name.lower() == "local":
        return Zone("local", None)
    tz = _offset(name) or _known(name)
    return None if tz is None else Zone(name, tz)


def _known(name: str) -> ZoneInfo | None:
    # Imported here, because few name a zone.
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _offset(name: str) -> timezone | None:
    sign, hours, colon, minutes = name[:1], name[1:3], name[3:4], name[4:]
    if sign not in {"+", "-"} or colon != ":" or len(minutes) != 2:
        return None
    if not (hours + minutes).isascii() or not (hours + minutes).isdecimal():
        return None
    if int(hours) > 23 or int(minutes) > 59:
        return None
    ahead = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(ahead if sign == "+" else -ahead)


def _noted(context: click.Context, parameter: click.Parameter, zone: Zone | None) -> None:
    del parameter
    if zone is not None:
        context.meta[_META] = zone


zone_option = click.option(
    "--tz",
    type=_ZoneName(),
    metavar="ZONE",
    envvar="CURSOR_LEDGER_TZ",
    show_envvar=True,
    # Before the times that are typed beside it are read.
    is_eager=True,
    expose_value=False,
    callback=_noted,
    help="Tell times in tables, and read times without a zone, in this zone: Europe/Berlin, "
    "+02:00, or local. JSON and CSV stay in UTC.",
)
