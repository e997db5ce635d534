"""Changes the settings of a queue that has cases, and computes anew what depends on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashmatch.review import history
from hashmatch.review.case_rows import pages, priority, save
from hashmatch.review.grouping import keys_of_case

if TYPE_CHECKING:
    from hashmatch.review.settings import Settings
    from hashmatch.review.transaction import Transaction

CASES_PER_QUERY = 1000


def change_settings(tx: Transaction, after: Settings, who: str) -> None:
    """Give a queue other settings.

    The order of all cases follows other weights of labels; other limits for what is one picture are
    for records that come from now on, and nothing is taken out of the case that it is in.
    """
    tx.database.run("UPDATE queue SET settings = ?", (after.to_json(),))
    history.append(tx, who, "settings", settings=after.to_json())
    if after.label_weights != tx.settings.label_weights:
        for rows in pages(tx.database):
            priorities = [priority(row.summary, row.opened_at, after) for row in rows]
            changes = zip(rows, priorities, strict=True)
            save(tx.database, [(row, row._replace(priority=value)) for row, value in changes])
    if after.same_picture != tx.settings.same_picture:
        _change_keys(tx, after)


def _change_keys(tx: Transaction, settings: Settings) -> None:
    tx.database.run("DELETE FROM grouping_key")
    number = 0
    while rows := tx.database.rows(
        "SELECT c.number, i.line, i.hash FROM review_case c JOIN item i ON i.number = c.first_item "
        f"WHERE c.number > ? ORDER BY c.number LIMIT {CASES_PER_QUERY}",
        (number,),
    ):
        keys = [key for row in rows for key in keys_of_case(settings, *row)]
        tx.database.insert("grouping_key", keys)
        number = rows[-1][0]
