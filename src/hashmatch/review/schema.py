"""The tables of a review queue, for both databases.

Times are microseconds since 1970, UTC. Every row follows from the history, as
`hashmatch.review.audit` checks, except for those of the outbox.
"""

from __future__ import annotations

TABLES = """
CREATE TABLE queue (
    name TEXT NOT NULL PRIMARY KEY, format BIGINT NOT NULL, made_at BIGINT NOT NULL,
    settings TEXT NOT NULL
);
CREATE TABLE event (
    number {number} NOT NULL PRIMARY KEY, happened_at BIGINT NOT NULL, who TEXT NOT NULL,
    kind TEXT NOT NULL, case_number BIGINT, body TEXT NOT NULL, digest TEXT NOT NULL
);
CREATE INDEX event_who ON event (who, number);
CREATE INDEX event_case ON event (case_number, number);
CREATE TABLE review_case (
    number {number} NOT NULL PRIMARY KEY, opened_at BIGINT NOT NULL, asked_at BIGINT NOT NULL,
    first_item BIGINT NOT NULL, state TEXT NOT NULL,
    round BIGINT NOT NULL, not_for TEXT NOT NULL, priority BIGINT NOT NULL, items BIGINT NOT NULL,
    distance BIGINT NOT NULL, max_distance BIGINT NOT NULL, algorithm TEXT NOT NULL,
    list_name TEXT NOT NULL, quality BIGINT, labels TEXT NOT NULL, surfaces TEXT NOT NULL,
    hash_algorithm TEXT NOT NULL, hash {blob}, lease_reviewer TEXT, lease_until BIGINT,
    decided_at BIGINT, decided_event BIGINT, hold TEXT NOT NULL, hold_at BIGINT
);
CREATE INDEX case_state ON review_case (state, number) WHERE items > 0;
CREATE INDEX case_lease ON review_case (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX case_held ON review_case (lease_reviewer, number) WHERE lease_reviewer IS NOT NULL;
CREATE INDEX case_confirmed ON review_case (decided_event) WHERE state = 'confirmed';
CREATE TABLE item (
    number {number} NOT NULL PRIMARY KEY, record_id TEXT NOT NULL, case_number BIGINT NOT NULL,
    batch BIGINT NOT NULL, round BIGINT NOT NULL, added_at BIGINT NOT NULL, line {blob},
    hash {blob}, source TEXT, location TEXT, digest {blob} NOT NULL
);
CREATE INDEX item_record ON item (record_id);
CREATE INDEX item_case ON item (case_number, number);
CREATE TABLE decision (
    number {number} NOT NULL PRIMARY KEY, case_number BIGINT NOT NULL, verdict TEXT NOT NULL,
    reviewer TEXT NOT NULL, decided_at BIGINT NOT NULL, reason TEXT NOT NULL,
    record_ids TEXT NOT NULL, reviewed_digest TEXT NOT NULL, labels TEXT NOT NULL,
    needed BIGINT NOT NULL, round BIGINT NOT NULL, supersedes BIGINT, undone_at BIGINT
);
CREATE INDEX decision_case ON decision (case_number, number);
CREATE TABLE reviewer (
    name TEXT NOT NULL PRIMARY KEY, token TEXT NOT NULL, added_at BIGINT NOT NULL
);
CREATE TABLE waiting (
    label TEXT NOT NULL, surface TEXT NOT NULL, not_for TEXT NOT NULL, later BIGINT NOT NULL,
    case_number BIGINT NOT NULL, PRIMARY KEY (label, surface, not_for, later, case_number)
){keyed};
CREATE TABLE grouping_key (
    value BIGINT NOT NULL, case_number BIGINT NOT NULL, PRIMARY KEY (value, case_number)
){keyed};
CREATE TABLE outbox_endpoint (
    name TEXT NOT NULL PRIMARY KEY, listed BIGINT NOT NULL, sent BIGINT NOT NULL
);
CREATE TABLE outbox_message (
    endpoint TEXT NOT NULL, event BIGINT NOT NULL, case_number BIGINT NOT NULL,
    state TEXT NOT NULL, tries BIGINT NOT NULL, first_at BIGINT, next_at BIGINT NOT NULL,
    problem TEXT NOT NULL, PRIMARY KEY (endpoint, event)
);
CREATE INDEX outbox_case ON outbox_message (endpoint, case_number, event);
"""
"""Case, item and event are numbered from 1. A decision has the number of its event. Of an item that
has expired, only the number, the record's id, the case, the batch and the digest are left."""


def statements(*, number: str, blob: str, keyed: str) -> list[str]:
    """Return the statements that make the tables.

    `number` is the type of a number that is a key, `blob` that of bytes, and `keyed` says that a
    table is nothing but its key, if the database can do that.
    """
    text = TABLES.format(number=number, blob=blob, keyed=keyed)
    return [part.strip() for part in text.split(";") if part.strip()]
