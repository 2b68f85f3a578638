from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from backend.catalogue.windows import DAYS, Window, opens

ZURICH = ZoneInfo("Europe/Zurich")
# Zones with half hours, with a clock that jumps by half an hour, at midnight, and in the south.
ZONES = (
    *("UTC", "Europe/Zurich", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"),
    *("America/Sao_Paulo", "Asia/Beirut", "Pacific/Auckland", "Africa/Casablanca"),
)
MINUTES = st.integers(0, 24 * 60 - 1)
CHANGES_OF_THE_CLOCK = (datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC))
MOMENTS = st.one_of(
    st.integers(0, 10 * 365 * 86_400).map(lambda s: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=s)),
    st.builds(
        lambda day, minutes: day + timedelta(minutes=minutes),
        st.sampled_from(CHANGES_OF_THE_CLOCK), st.integers(-2880, 2880),
    ),
)  # fmt: skip


def window(days: str = "", **given: str) -> Window:
    return Window.model_validate(
        {"zone": "Europe/Zurich", **({"days": days.split()} if days else {}), **given}
    )


def at(text: str, zone: ZoneInfo = ZURICH, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    begins, ends = draw(st.tuples(MINUTES, MINUTES).filter(lambda two: two[0] != two[1]))
    return Window.model_validate(
        {
            "days": draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=3)),
            "from": f"{begins // 60:02}:{begins % 60:02}",
            "to": f"{ends // 60:02}:{ends % 60:02}",
            "zone": draw(st.sampled_from(ZONES)),
        }
    )


def shows_a_time_inside(one: Window, moment: datetime) -> bool:
    """The promise in other words: the clock on the wall, and the day on which its window began."""
    wall = moment.astimezone(ZoneInfo(one.zone)).replace(tzinfo=None)
    for began in (wall.date(), wall.date() - timedelta(days=1)):
        begins = datetime.combine(began, time.fromisoformat(one.begins))
        if one.ends == "24:00":
            ends = datetime.combine(began + timedelta(days=1), time())
        else:
            ends = datetime.combine(began, time.fromisoformat(one.ends))
        if ends <= begins:
            ends += timedelta(days=1)
        if DAYS[began.weekday()] in one.days and begins <= wall < ends:
            return True
    return False


@given(st.lists(windows(), min_size=1, max_size=3), MOMENTS)
def test_it_is_open_exactly_while_a_clock_shows_a_time_inside_a_window(
    several: list[Window], moment: datetime
) -> None:
    is_open = any(shows_a_time_inside(one, moment) for one in several)

    assert (opens(several, moment) is None) == is_open


@given(st.lists(windows(), min_size=1, max_size=3), MOMENTS)
def test_the_next_opening_is_later_really_open_and_the_first_one(
    several: list[Window], moment: datetime
) -> None:
    opening = opens(several, moment)

    if opening is not None:
        assert moment < opening <= moment + timedelta(days=15)
        assert opens(several, opening) is None
        before = opening - timedelta(seconds=1)
        assert before < moment or opens(several, before) is not None
        minutes = int((opening - moment) / timedelta(minutes=1))
        for passed in range(0, minutes, 7):  # every window here is open for a minute at least
            assert opens(several, moment + timedelta(minutes=passed)) is not None


def test_without_windows_it_is_always_open() -> None:
    assert opens([], datetime.now(UTC)) is None


def test_a_window_of_office_hours_opens_the_next_morning() -> None:
    office = [window("mon-fri", **{"from": "09:00", "to": "17:00"})]

    assert opens(office, at("2026-11-30T08:59:59")) == at("2026-11-30T09:00")
    assert opens(office, at("2026-11-30T09:00")) is None
    assert opens(office, at("2026-11-30T16:59:59.999")) is None
    assert opens(office, at("2026-11-30T17:00")) == at("2026-12-01T09:00")
    assert opens(office, at("2026-12-04T17:00")) == at("2026-12-07T09:00")


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    night = [window("fri", **{"from": "22:00", "to": "04:00"})]

    assert opens(night, at("2026-12-04T22:00")) is None
    assert opens(night, at("2026-12-05T03:59")) is None
    assert opens(night, at("2026-12-05T04:00")) == at("2026-12-11T22:00")
    assert opens(night, at("2026-12-04T03:00")) == at("2026-12-04T22:00")


def test_a_window_that_ends_at_twenty_four_goes_on_into_one_that_begins_at_zero() -> None:
    two = [window("sat", **{"from": "20:00"}), window("sun", to="02:00")]

    assert opens(two, at("2026-12-05T23:59:59")) is None
    assert opens(two, at("2026-12-06T00:00")) is None
    assert opens(two, at("2026-12-06T02:00")) == at("2026-12-12T20:00")


def test_windows_in_several_zones_open_as_their_clocks_say() -> None:
    two = [
        window("mon-fri", **{"from": "09:00", "to": "10:00"}),
        window("mon-fri", **{"from": "09:00", "to": "10:00", "zone": "America/New_York"}),
    ]
    new_york = ZoneInfo("America/New_York")

    assert opens(two, at("2026-11-30T10:00")) == at("2026-11-30T09:00", new_york)
    assert opens(two, at("2026-11-30T15:30")) is None


def test_an_hour_that_the_clock_skips_is_never_open() -> None:
    skipped = [window("sun", **{"from": "02:00", "to": "03:00"})]

    assert opens(skipped, at("2026-03-29T01:59:59")) == at("2026-04-05T02:00")
    assert opens(skipped, at("2026-03-29T03:00")) == at("2026-04-05T02:00")


def test_a_window_that_begins_in_a_skipped_hour_opens_when_the_clock_has_jumped() -> None:
    begins_inside = [window("sun", **{"from": "02:30", "to": "05:00"})]

    assert opens(begins_inside, at("2026-03-29T01:59:59")) == at("2026-03-29T03:00")


def test_an_hour_that_the_clock_shows_twice_is_open_twice() -> None:
    twice = [window("sun", **{"from": "02:15", "to": "02:45"})]

    assert opens(twice, at("2026-10-25T02:30", fold=0)) is None
    assert opens(twice, at("2026-10-25T02:45", fold=0)) == at("2026-10-25T02:15", fold=1)
    assert opens(twice, at("2026-10-25T02:30", fold=1)) is None


def test_a_window_opens_again_when_the_clock_jumps_back_into_it() -> None:
    over = [window("sun", **{"from": "01:00", "to": "02:30"})]

    assert opens(over, at("2026-10-25T02:45", fold=0)) == at("2026-10-25T02:00", fold=1)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "Field required"),
        ({"zone": "Mars/Olympus"}, "There is no time zone 'Mars/Olympus'"),
        ({"zone": "europe/zurich"}, "Do you mean Europe/Zurich?"),
        ({"zone": "../../etc/passwd"}, "There is no time zone"),
        ({"zone": "localtime"}, "There is no time zone"),
        ({"zone": ""}, "There is no time zone"),
        ({"zone": "UTC", "days": []}, "at least 1 item"),
        ({"zone": "UTC", "days": ["monday"]}, "the days are mon"),
        ({"zone": "UTC", "days": ["mon-"]}, "the days are mon"),
        ({"zone": "UTC", "days": ["mon-wed-fri"]}, "the days are mon"),
        ({"zone": "UTC", "from": "24:01"}, "no time of day"),
        ({"zone": "UTC", "to": "5pm"}, "no time of day"),
        ({"zone": "UTC", "to": "0٣:00"}, "no time of day"),
        ({"zone": "UTC", "from": "09:00", "to": "9:00"}, "is empty"),
        ({"zone": "UTC", "from": "24:00", "to": "09:00"}, "is empty"),
        ({"zone": "UTC", "until": "09:00"}, "Extra inputs"),
    ],
)
def test_a_window_that_is_wrong_is_refused_with_a_sentence(
    given: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValidationError, match=re.escape(says)):
        Window.model_validate(given)


def test_a_range_of_days_may_go_over_the_end_of_the_week() -> None:
    weekend = [window("fri-mon", **{"from": "08:00", "to": "09:00"})]
    openings = set()
    for day in range(14):
        noon = datetime.combine(date(2026, 11, 30) + timedelta(days=day), time(12), ZURICH)
        opening = opens(weekend, noon)
        assert opening is not None
        openings.add(opening.astimezone(ZURICH).strftime("%a"))

    assert openings == {"Fri", "Sat", "Sun", "Mon"}


def test_the_zones_are_there_on_a_machine_that_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    import zoneinfo  # noqa: PLC0415 what it looks at is changed here

    monkeypatch.setattr(zoneinfo, "TZPATH", ())
    found = zoneinfo.available_timezones()

    assert {"Europe/Zurich", "America/New_York", "UTC"} <= found
