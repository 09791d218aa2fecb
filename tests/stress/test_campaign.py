"""The campaign of faults, in short. `python tests/stress --long` goes on for half an hour."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.campaign.results import Result

pytestmark = [pytest.mark.slow("the campaign of faults"), pytest.mark.xdist_group("campaign")]

Tried = Callable[[str], Result]


# --- the power ---


def test_a_power_cut_at_full_durability_loses_nothing(tried: Tried) -> None:
    tried("power-full").check()


def test_a_power_cut_at_normal_durability_loses_the_last_commits_and_nothing_else(
    tried: Tried,
) -> None:
    result = tried("power-normal")
    result.check()
    # A harness that finds no loss here would find none anywhere.
    assert result.lost > result.times // 10


def test_where_the_folder_cannot_be_synced_nothing_is_acknowledged_and_lost(tried: Tried) -> None:
    tried("power-folder").check()


# --- the disk ---


def test_whatever_call_fails_what_is_acknowledged_is_there_and_what_raised_is_not(
    tried: Tried,
) -> None:
    tried("calls").check()


def test_what_raised_when_the_log_could_not_be_synced_does_not_come_back(tried: Tried) -> None:
    tried("calls-log-sync").check()


def test_a_full_disk_loses_nothing_and_there_is_room_again(tried: Tried) -> None:
    tried("full-disk").check()


# --- processes ---


def test_processes_killed_under_load_lose_nothing(tried: Tried) -> None:
    tried("kill").check()


def test_a_process_killed_while_it_makes_a_ledger_leaves_one_that_can_be_made(
    tried: Tried,
) -> None:
    tried("kill-creation").check()


def test_a_process_that_was_stopped_goes_on_without_harm(tried: Tried) -> None:
    tried("stop").check()


# --- PostgreSQL ---


def test_a_connection_hurt_at_any_byte_loses_nothing_and_repeats_nothing(tried: Tried) -> None:
    tried("postgres-bytes").check()


def test_what_is_read_or_made_over_a_connection_that_is_hurt_is_whole_or_an_error(
    tried: Tried,
) -> None:
    tried("postgres-looks").check()


def test_a_large_append_whose_connection_is_hurt_ends_in_no_error_of_the_driver(
    tried: Tried,
) -> None:
    tried("postgres-copy").check()


def test_a_refusal_whose_answer_is_lost_is_no_error_of_ours(tried: Tried) -> None:
    tried("postgres-refused").check()


def test_a_server_killed_under_load_loses_nothing(tried: Tried) -> None:
    tried("postgres-kill").check()


# --- what is around ---


def test_a_held_snapshot_holds_up_no_writer(tried: Tried) -> None:
    tried("snapshot").check()


def test_clocks_may_jump_about_since_1970(tried: Tried) -> None:
    tried("clocks").check()


def test_clocks_may_jump_about_before_1970(tried: Tried) -> None:
    tried("clocks-1969").check()


def test_nothing_is_acknowledged_into_a_file_that_is_gone(tried: Tried) -> None:
    tried("removed").check()


def test_nothing_is_acknowledged_into_a_file_that_was_cut_short(tried: Tried) -> None:
    tried("cut-short").check()


def test_permissions_taken_away_lose_nothing(tried: Tried) -> None:
    tried("permissions").check()
