"""Drafts for the United Kingdom's National Crime Agency: a list of fields, and what is missing.

The Online Safety (CSEA Content Reporting by Regulated User-to-User Service Providers) Regulations
2026 (SI 2026/268) say what a report has; the schema of the NCA's interface is not public. So this
writes the fields that hashmatch and the platform can fill, by the parts of a report, with a gap for
each that a person has to supply in the NCA's portal. Compare it with the regulations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from hashmatch.records.times import timestamp
from hashmatch.review.drafts.destinations import Gap, Rendered, Row, account_gaps, unanswered
from hashmatch.review.drafts.questions import Option, Question

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.review.drafts import account as said
    from hashmatch.review.drafts.destinations import DraftFacts
    from hashmatch.review.drafts.seen import ReportedFile

REGULATIONS = "https://www.legislation.gov.uk/uksi/2026/268/contents/made"
SCHEMA = "hashmatch.nca-fields/1"
REPORTED_ABROAD = Question(
    "reported-abroad",
    "Was it reported to a foreign body such as NCMEC already?",
    (
        Option("yes", "then the regulations do not ask for another report"),
        Option("no", "it was not reported anywhere else"),
    ),
    "report",
    page=REGULATIONS,
)
IN_PORTAL = "supply it in the portal"


class NcaDraft:
    """Makes ``fields.json``; see `DraftDestination`."""

    title = "National Crime Agency (United Kingdom)"
    questions: tuple[Question, ...] = (REPORTED_ABROAD,)

    def render(self, facts: DraftFacts) -> Rendered:
        """Return the fields of a report, and what is missing.

        Parameters
        ----------
        facts : DraftFacts
            What they are made of.
        """
        gaps = [*unanswered(self.questions, facts), *account_gaps(facts, REGULATIONS)]
        rows: list[Row] = []
        fields: list[dict[str, str | None]] = []
        for part, name, value, note in _fields(facts):
            fields.append({"part": part, "field": name, "value": value or None})
            if value:
                rows.append(Row(f"{part}: {name}", value))
            else:
                gaps.append(Gap(f"{part}: {name}", note or IN_PORTAL, REGULATIONS, note=True))
        document = {"schema": SCHEMA, "regulations": REGULATIONS, "fields": fields}
        data = msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
        return Rendered({"fields.json": data}, tuple(gaps), tuple(rows))


def _fields(facts: DraftFacts) -> Iterator[tuple[str, str, str, str]]:
    """Yield the part of the report, the field, its value, and what is to be done if it is empty."""
    incident, reporter = facts.account.incident, facts.account.reporter
    who = "person who reports"
    yield who, "name", _name(reporter.person), ""
    yield who, "contact", _emails(reporter.contact or reporter.person), ""
    yield who, "registration with the NCA", "", IN_PORTAL
    yield "report", "already reported abroad", ", ".join(facts.chosen("reported-abroad") or ()), ""
    yield "report", "priority", "", "a person assesses it, as the regulations say"
    yield "report", "when it happened", timestamp(incident.at), ""
    yield "report", "what happened", incident.description or "", ""
    yield "report", "where on the service", "\n".join(incident.urls), ""
    for file in facts.files:
        yield from _file(facts, file)
    yield from _user(facts.account.account)
    yield "victim", "what is known of a child", "", "supply it in the portal, if anything is known"
    yield "declaration", "that all information reasonably available is given", "", IN_PORTAL


def _file(facts: DraftFacts, file: ReportedFile) -> Iterator[tuple[str, str, str, str]]:
    part, upload = f"content {file.number}", facts.account.upload(file.key)
    record = file.items[0].record
    yield part, "file", f"{file.source} {file.key} (version {file.version})".strip(), ""
    yield part, "kind of file", record.item.media_type or "", ""
    yield part, "name of the file", (upload and upload.file_name) or "", ""
    yield part, "uploaded at", timestamp(upload.at) if upload and upload.at else "", ""
    yield part, "location", (upload and upload.url) or "", ""
    hashes = "; ".join(f"{one.type} {one.value}" for one in (upload.hashes if upload else ()))
    yield part, "hash values", hashes, "supply those that the platform made of the file"
    yield part, "EXIF data", "", "supply it in the portal, if the file has some"
    yield part, "IP address and port", _ip(upload.ip) if upload and upload.ip else "", ""
    closest = record.matches[0]
    yield (
        part, "how it was detected",
        f"hash matching: {closest.algorithm}, {closest.distance} of up to {closest.max_distance} "
        f"bits differ, list {closest.list}, version {closest.list_version}", "",
    )  # fmt: skip
    views = [*(file.proof_of_view or file.partial_views), *file.proof_of_exif]
    seen = "; ".join(
        f"{view.part or view.extent}, event {view.event} at {timestamp(view.at)}" for view in views
    )
    yield part, "viewed by a person", seen or "no", ""


def _user(account: said.Account | None) -> Iterator[tuple[str, str, str, str]]:
    part = "user"
    if account is None:
        yield part, "account", "", "supply it in the portal, if a user is identified"
        return
    person, location = account.person, account.location
    yield part, "account", " ".join(filter(None, (account.service, account.identifier))), ""
    yield part, "names", "; ".join(filter(None, (account.screen_name, *account.display_names))), ""
    yield part, "name of the person", _name(person), ""
    yield (
        part,
        "date of birth",
        person.date_of_birth.isoformat() if person.date_of_birth else "",
        "",
    )
    yield part, "e-mail addresses", _emails(person), ""
    phones = (" ".join(filter(None, (one.calling_code, one.number))) for one in person.phones)
    yield part, "phone numbers", "; ".join(phones), ""
    yield part, "postal addresses", "; ".join(_postal(one) for one in person.addresses), ""
    yield part, "profiles", "\n".join(account.profile_urls), ""
    yield part, "IP addresses and ports", "\n".join(map(_ip, account.ip_events)), ""
    yield part, "devices", "\n".join(f"{one.type} {one.value}" for one in account.devices), ""
    where = location and ", ".join(filter(None, (location.city, location.region, location.country)))
    yield part, "location", where or "", ""
    yield part, "connections with other accounts", "\n".join(account.connections), ""
    yield part, "identity documents", "", "supply them in the portal, if the platform has some"
    yield part, "earlier reports", ", ".join(map(str, account.prior_reports)), ""
    yield part, "anything else", account.additional_info or "", ""


def _name(person: said.Person) -> str:
    return " ".join(filter(None, (person.first_name, person.last_name)))


def _emails(person: said.Person) -> str:
    return "; ".join(email.address for email in person.emails)


def _postal(given: said.PostalAddress) -> str:
    parts: tuple[Any, ...] = (
        given.address, given.zip_code, given.city, given.state, given.region, given.country,
    )  # fmt: skip
    return ", ".join(filter(None, parts))


def _ip(event: said.IpEvent) -> str:
    port = "" if event.port is None else f" port {event.port}"
    at = "" if event.at is None else f" at {timestamp(event.at)}"
    return f"{event.address}{port} {event.event or ''}{at}".strip()
