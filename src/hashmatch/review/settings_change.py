"""Other settings for a queue that has cases: what depends on them is worked out anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashmatch.review import history
from hashmatch.review.case_rows import COLUMNS, CaseRow, priority, save
from hashmatch.review.grouping import rows_of_case

if TYPE_CHECKING:
    from hashmatch.review.database import Database
    from hashmatch.review.settings import Settings

PAGE = 1000


def change(database: Database, before: Settings, after: Settings, who: str, now: int) -> None:
    """Let a queue work in another way, within a transaction.

    The order of all cases follows other weights of labels; other limits for what is one picture are
    for records that come from now on, and nothing is taken out of the case that it is in.
    """
    database.run("UPDATE queue SET settings = ?", (after.to_json(),))
    history.append(database, now, who, "settings", settings=after.to_json())
    if after.label_weights != before.label_weights:
        _order(database, after)
    if after.same_picture != before.same_picture:
        _looks(database, after)


def _order(database: Database, settings: Settings) -> None:
    number = 0
    while rows := database.rows(
        f"SELECT {COLUMNS} FROM review_case WHERE number > ? ORDER BY number LIMIT {PAGE}",
        (number,),
    ):
        cases = [CaseRow(*row) for row in rows]
        save(
            database,
            [
                (row, row._replace(priority=priority(row.summary, row.opened_at, settings)))
                for row in cases
            ],
        )
        number = cases[-1].number


def _looks(database: Database, settings: Settings) -> None:
    database.run("DELETE FROM likeness")
    number = 0
    while rows := database.rows(
        "SELECT c.number, i.line, i.hash FROM review_case c JOIN item i ON i.number = c.first_item "
        f"WHERE c.number > ? ORDER BY c.number LIMIT {PAGE}",
        (number,),
    ):
        database.insert("likeness", [look for row in rows for look in rows_of_case(settings, *row)])
        number = rows[-1][0]
