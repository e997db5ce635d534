"""The words that lists have for the status of an entry, and what each does to the entry."""

from __future__ import annotations

import re
from functools import lru_cache

DISPUTED, WITHDRAWAL, BENIGN, LISTED = "disputed", "withdrawal", "benign", "listed"
MEANINGS = {
    "listed": LISTED, "withdrawn": WITHDRAWAL, "benign": BENIGN, "disputed": DISPUTED,
}  # fmt: skip
"""What a status may be said to mean, and what it then does to the entry."""
_STATUSES = {
    status: effect
    for effect, statuses in {
        WITHDRAWAL: """
            withdrawn deleted removed revoked expired retracted disabled inactive rescinded
            cancelled canceled obsolete deprecated invalid invalidated rejected suppressed unlisted
            delisted archived superseded recalled purged erased discarded excluded expunged lapsed
            outdated terminated void voided annulled nullified unpublished deactivated dismissed
            suspended taken_down takedown overturned not_valid no_longer_valid
            withdraw delete remove revoke expire retract disable withdrawal deletion removal
            tombstone tombstoned not_active not_listed no_longer_active no_longer_listed
            soft_deleted marked_for_deletion pending_deletion to_be_deleted should_delete
            supprimé supprimée retiré retirée révoqué eliminado eliminada borrado borrada retirado
            retirada revocado excluído removido revogado eliminato rimosso ritirato revocato
            gelöscht entfernt widerrufen zurückgezogen verwijderd ingetrokken usunięty wycofany
            удалено удален отозвано silindi 已删除 已移除 已撤销 已刪除 削除 削除済み 삭제됨
        """,
        BENIGN: """
            benign non_malicious not_malicious negative_class negative true_negative not_pertinent
            non_pertinent false_positive safe sfw harmless not_harmful allow allowed allowlist
            allowlisted whitelist whitelisted not_csam non_csam not_csem not_abuse not_illegal
            legal legitimate not_violating non_violating not_blocked unblocked cleared innocuous
            innocent known_good not_a_match
        """,
        DISPUTED: "disputed contested challenged in_dispute",
        LISTED: """
            active malicious confirmed positive_class positive true_positive suspicious
            investigation_seed received new listed enabled approved published unknown valid verified
            live current blocked blocklisted blacklisted denylisted banned flagged illegal csam csem
            known_bad harmful violating reviewed accepted added updated restored reinstated
            reactivated add update upsert insert inserted create created modify modified change
            changed keep kept block report review escalate
            actif activo activa ativo attivo aktiv gültig actief aktywny активно aktif
            有效 有効 활성
        """,
    }.items()
    for status in statuses.split()
}
EFFECTS = {status.replace("_", ""): effect for status, effect in _STATUSES.items()}
"""What a row comes to by its status, of which letters and digits count; others are listed."""
KEEP_OUT = frozenset(
    status.replace("_", sign)
    for status, effect in _STATUSES.items()
    for sign in ("", " ", "_", "-")
    if effect in {WITHDRAWAL, BENIGN}
)
"""Statuses of entries that are withdrawn or benign, in lower case, as they are written."""


@lru_cache(maxsize=1024)  # a list has few statuses, a million times
def effect_of(status: str) -> str | None:
    """Return what a status does to an entry, whatever its case and blanks; None if unknown.

    Examples
    --------
    >>> effect_of("Taken-Down"), effect_of("odd one")
    ('withdrawal', None)
    """
    return EFFECTS.get(plain(status))


def plain(status: str) -> str:
    """Return the letters and digits of a status, in lower case: by these two are the same."""
    return re.sub(r"[\W_]+", "", status).lower()
