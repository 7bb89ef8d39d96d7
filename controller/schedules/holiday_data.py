"""Reads public holidays from the `holidays` package, which is imported on first use.

Called by `calendar_days`, by `manifests` to check a code, and by `reconcile` to record the data. The data belongs to
the installed version of the package: another version may know other holidays.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import date
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from controller.errors import ScheduleError
from controller.model.calendars import HolidayData, Holidays
from controller.schedules.messages import quote
from controller.text import closest, did_you_mean

if TYPE_CHECKING:
    from holidays import HolidayBase

_HINT = "write a country (DE), a country and a part of it (DE-BY), or the code of an exchange (XNYS)"
_ENGLISH = "en_US"
_MAX_LENGTH = 64
YEARS = 3
"""The number of years that `read_holidays` reads."""


@lru_cache(maxsize=4096)
def holiday_names(holidays: Holidays, year: int) -> Mapping[date, str]:
    """Return the holidays of a year with their names, in English if the package has them; none if it has no data.

    Raises:
        ScheduleError: the package does not know the code, its part or a category.
    """
    data = _load(holidays, year)
    return {day: data[day] for day in sorted(data) if day.year == year}


def check_holidays(holidays: Holidays) -> None:
    """Raise ScheduleError with a hint if the package does not know the code, its part or a category."""
    holiday_names(holidays, 2026)


@cache
def data_version() -> str:
    """Return the installed version of the package."""
    from importlib.metadata import version  # loading it takes 15 ms

    return version("holidays")


def read_holidays(codes: Iterable[Holidays], first_year: int) -> HolidayData:
    """Return the holidays of `YEARS` years. Codes that the package does not know have none."""
    years = range(first_year, first_year + YEARS)
    days = {code: {day: name for year in years for day, name in _names(code, year).items()} for code in codes}
    return HolidayData(version=data_version(), first_year=first_year, days=days)


def _names(holidays: Holidays, year: int) -> Mapping[date, str]:
    try:
        return holiday_names(holidays, year)
    except ScheduleError:
        return {}


def _load(holidays: Holidays, year: int) -> "HolidayBase":
    import holidays as package

    code, _, part = holidays.code.partition("-")
    markets = package.list_supported_financial(include_aliases=True)
    countries = package.list_supported_countries(include_aliases=True)
    if len(holidays.code) > _MAX_LENGTH or code not in {**markets, **countries}:
        similar = _code_hint(holidays.code, {*markets, *countries}) if len(holidays.code) <= _MAX_LENGTH else None
        raise ScheduleError(f"unknown holidays {quote(holidays.code)}", hint=similar or _HINT)
    create: Any = package.country_holidays if code in countries else package.financial_holidays
    base = create(code)
    if part and part not in base.subdivisions:
        parts = [f"{code}-{name}" for name in base.subdivisions]
        parts_alike = closest(part, base.subdivisions)
        hint = (
            f"did you mean {code}-{parts_alike[0]}?"
            if parts_alike
            else (f"write {', '.join(parts[:20])} or {code}" if parts else None)
        )
        raise ScheduleError(f"unknown holidays {quote(holidays.code)}", hint=hint or f"write {code}")
    for category in holidays.categories:
        if category not in base.supported_categories:
            known = sorted(base.supported_categories)
            hint = did_you_mean(category, known) or f"categories of {code}: {', '.join(known)}"
            raise ScheduleError(f"{code} has no holidays of the category {quote(category)}", hint=hint)
    language = _ENGLISH if _ENGLISH in base.supported_languages else None
    options: dict[str, Any] = {"years": year, "expand": False, "language": language}
    if part:
        options["subdiv"] = part
    if holidays.categories:
        options["categories"] = holidays.categories
    data: HolidayBase = create(code, **options)
    return data


def _code_hint(code: str, codes: Collection[str]) -> str | None:
    """Return the hint for a code that is unknown: that of the country with this name, or a similar one."""
    import holidays as package
    from holidays.registry import COUNTRIES

    name = "_".join(code.lower().split())
    if name in COUNTRIES:
        return f"write {COUNTRIES[name][1]}"
    country, _, part = code.upper().partition("-")
    parts = package.list_supported_countries().get(country, ()) if part else ()
    for known in parts:
        if known.upper() == part:
            return f"write {country}-{known}"
    return did_you_mean(country, codes)
