"""The table of holidays that the last pass knew. `reconcile` writes it in the transaction that applies a plan."""

from datetime import date

from sqlalchemy import delete, insert, select

from controller.model.calendars import HolidayData, Holidays
from controller.store.store import Transaction
from controller.store.trigger_tables import holiday_data


def find(tx: Transaction) -> HolidayData | None:
    """Return the recorded holidays, None if no pass has recorded any."""
    row = tx.connection.execute(select(holiday_data).where(holiday_data.c.project == tx.project)).first()
    if row is None:
        return None
    days = {
        Holidays(code=each["code"], categories=tuple(each["categories"])): {
            date.fromisoformat(day): name for day, name in each["days"].items()
        }
        for each in row.days
    }
    return HolidayData(version=row.version, first_year=row.first_year, days=days)


def save(tx: Transaction, data: HolidayData) -> None:
    """Replace the recorded holidays."""
    days = [
        {
            "code": holidays.code,
            "categories": list(holidays.categories),
            "days": {day.isoformat(): name for day, name in names.items()},
        }
        for holidays, names in data.days.items()
    ]
    tx.connection.execute(delete(holiday_data).where(holiday_data.c.project == tx.project))
    values = {"project": tx.project, "version": data.version, "first_year": data.first_year, "days": days}
    tx.connection.execute(insert(holiday_data).values(values))
