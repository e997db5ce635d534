"""Drafts for NCMEC's CyberTipline: the report and the details of each file, as XML.

A person files them, by NCMEC's web form or service. What NCMEC assigns then, ``reportId`` and
``fileId``, is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from hashmatch.records.times import timestamp
from hashmatch.review.drafts import cybertip
from hashmatch.review.drafts.cybertip import DOCUMENTATION, REPORTED, SUPPLEMENTAL
from hashmatch.review.drafts.destinations import Gap, Rendered, Row, account_gaps, unanswered
from hashmatch.review.drafts.questions import Option, Question

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.review.drafts import account as said
    from hashmatch.review.drafts.destinations import DraftFacts
    from hashmatch.review.drafts.seen import FileView, ReportedFile

UNCLASSIFIED = "unclassified"
"""A person's choice to classify a file in no way; no element is written then."""
INCIDENT_TYPE = Question(
    "incident-type",
    "What kind of incident is it?",
    tuple(
        Option(name, meaning)
        for name, meaning in zip(
            cybertip.INCIDENT_TYPES,
            (
                "pictures or films of child sexual abuse were made, kept or passed on",
                "a child is offered or used for sex against something of value",
                "somebody travels, or arranges travel, to abuse a child",
                "a child was sexually abused by somebody, not in a picture only",
                "a domain name that leads people to obscene material by deceit",
                "words or pictures that lead a minor to harmful material by deceit",
                "somebody tries online to bring a child to sexual acts or pictures, or extorts one",
                "obscene material was sent to a child who had not asked for it",
            ),
            strict=True,
        )
    ),
    "report",
    page=DOCUMENTATION,
)
REPORT_ANNOTATIONS = Question(
    "report-annotations",
    "Which of these is the report about? None is an answer too.",
    (
        Option("sextortion", "somebody is extorted with sexual material"),
        Option("csamSolicitation", "somebody asks for such material"),
        Option("minorToMinorInteraction", "between minors"),
        Option("spam", "sent in bulk"),
        Option("sadisticOnlineExploitation", "a child is driven to cruelty or self-harm online"),
        Option("informational", "for information; nobody has to act on it"),
    ),
    "report",
    many=True,
    page=DOCUMENTATION,
)
RELEVANCE = Question(
    "relevance",
    "Is this file what is reported, or does it add to that?",
    (
        Option(REPORTED, "the file itself is apparent child sexual abuse material or the like"),
        Option(SUPPLEMENTAL, "it gives context, and is reported with the others"),
    ),
    "file",
    page=DOCUMENTATION,
)
CLASSIFICATION = Question(
    "classification",
    "How is it classified? Only what is reported may be.",
    (
        Option("A1", "a pre-pubescent child, in a sexual act"),
        Option("A2", "a pre-pubescent child, in a lascivious exhibition"),
        Option("B1", "a pubescent child, in a sexual act"),
        Option("B2", "a pubescent child, in a lascivious exhibition"),
        Option(UNCLASSIFIED, "no classification is given"),
    ),
    "file",
    page=DOCUMENTATION,
)
ANNOTATIONS = Question(
    "annotations",
    "Which of these describe the file? None is an answer too.",
    (
        Option("animeDrawingVirtualHentai", "drawn, animated or virtual"),
        Option("potentialMeme", "passed on as a joke or in outrage; only for what is reported"),
        Option("viral", "passed on by very many people"),
        Option("possibleSelfProduction", "the child may have made it"),
        Option("physicalHarm", "somebody is harmed, or harms themself"),
        Option("violenceGore", "violence or gore"),
        Option("bestiality", "an animal is involved"),
        Option("liveStreaming", "it was streamed live"),
        Option("infant", "an infant or toddler is in it"),
        Option("generativeAi", "made or changed by generative AI"),
    ),
    "file",
    many=True,
    page=DOCUMENTATION,
)


class NcmecDraft:
    """Makes ``report.xml``, and ``file-1.xml`` and so on; see `DraftDestination`."""

    title = "NCMEC CyberTipline (United States)"
    questions: tuple[Question, ...] = (
        INCIDENT_TYPE,
        REPORT_ANNOTATIONS,
        RELEVANCE,
        CLASSIFICATION,
        ANNOTATIONS,
    )

    def render(self, facts: DraftFacts) -> Rendered:
        """Return the documents of a case, and what is missing.

        Parameters
        ----------
        facts : DraftFacts
            What they are made of.
        """
        gaps = [*unanswered(self.questions, facts), *account_gaps(facts, DOCUMENTATION)]
        if facts.account.account is None:
            gaps.append(Gap("account", "no account is given", DOCUMENTATION, note=True))
        wanted = {"report.xml": (cybertip.REPORT, _report(facts))}
        for file in facts.files:
            details = cybertip.FILE_DETAILS, _details(facts, file)
            wanted[f"file-{file.number}.xml"] = details
            if facts.account.upload(file.key) is None:
                where = f"file {file.number}: uploadedToEspTimestamp"
                gaps.append(Gap(where, "nothing says how it came", DOCUMENTATION, note=True))
        documents: dict[str, bytes] = {}
        for name, (element, value) in wanted.items():
            problems = cybertip.problems(element, value)
            is_open = {"report/incidentSummary/incidentType"}  # is among the gaps already
            gaps += [Gap(f"{name}: {p.field}", p.reason, p.page) for p in problems
                     if p.field not in is_open or p.reason != "it is missing"]  # fmt: skip
            if not problems:
                documents[name] = cybertip.to_xml(element, value)
        rows = [row for name, (_, value) in wanted.items() for row in _rows(name, value)]
        return Rendered(documents, tuple(gaps), tuple(rows))


def _report(facts: DraftFacts) -> Any:
    incident, reporter = facts.account.incident, facts.account.reporter
    annotations = facts.chosen("report-annotations") or ()
    (incident_type,) = facts.chosen("incident-type") or (None,)
    files = ", ".join(f"file-{file.number}.xml" for file in facts.files)
    return cybertip.cleaned(
        {
            "incidentSummary": {
                "incidentType": incident_type,
                "platform": incident.platform,
                "escalateToHighPriority": incident.escalate,
                "reportAnnotations": dict.fromkeys(annotations, True),
                "incidentDateTime": incident.at,
                "incidentDateTimeDescription": incident.description,
            },
            "internetDetails": [{"webPageIncident": {"url": incident.urls}}],
            "reporter": {
                "reportingPerson": _person(reporter.person),
                "contactPerson": _contact(reporter.contact),
                "companyTemplate": reporter.company,
                "termsOfService": reporter.terms,
                "legalURL": reporter.legal_url,
            },
            "personOrUserReported": _account(facts.account.account),
            "additionalInfo": "\n".join(
                filter(None, (incident.additional_info, f"Files of this report: {files}."))
            ),
        }
    )


def _account(account: said.Account | None) -> Any:
    if account is None:
        return None
    location = account.location
    return {
        "personOrUserReportedPerson": _person(account.person),
        "espIdentifier": account.identifier,
        "espService": account.service,
        "compromisedAccount": account.compromised,
        "screenName": account.screen_name,
        "displayName": account.display_names,
        "profileUrl": account.profile_urls,
        "profileBio": account.bio,
        "ipCaptureEvent": [_ip(event) for event in account.ip_events],
        "deviceId": [_device(device) for device in account.devices],
        "thirdPartyUserReported": account.third_party,
        "priorCTReports": account.prior_reports,
        "groupIdentifier": account.group,
        "estimatedLocation": location
        and {
            "@verified": location.verified,
            "@timestamp": location.at,
            "city": location.city,
            "region": location.region,
            "countryCode": location.country,
        },
        "allEmailsReported": account.all_emails_reported,
        "additionalInfo": account.additional_info,
    }


def _contact(person: said.Person | None) -> Any:
    if person is None:
        return None
    return {
        "firstName": person.first_name,
        "lastName": person.last_name,
        "phone": [
            {
                "@type": phone.type,
                "@verified": phone.verified,
                "@verificationDate": phone.verified_at,
                "@countryCallingCode": phone.calling_code,
                "@extension": phone.extension,
                "$": phone.number,
            }
            for phone in person.phones
        ],
        "email": [
            {
                "@type": email.type,
                "@verified": email.verified,
                "@verificationDate": email.verified_at,
                "$": email.address,
            }
            for email in person.emails
        ],
        "address": [
            {
                "@type": each.type,
                "address": each.address,
                "city": each.city,
                "zipCode": each.zip_code,
                "state": each.state,
                "nonUsaState": each.region,
                "country": each.country,
            }
            for each in person.addresses
        ],
    }


def _person(person: said.Person) -> Any:
    return _contact(person) | {"age": person.age, "dateOfBirth": person.date_of_birth}


def _ip(event: said.IpEvent | None) -> Any:
    return event and {
        "ipAddress": event.address,
        "eventName": event.event,
        "dateTime": event.at,
        "possibleProxy": event.possible_proxy,
        "port": event.port,
    }


def _device(device: said.Device) -> Any:
    return {
        "idType": device.type,
        "idValue": device.value,
        "eventName": device.event,
        "dateTime": device.at,
    }


def _details(facts: DraftFacts, file: ReportedFile) -> Any:
    upload = facts.account.upload(file.key)
    (relevance,) = facts.chosen("relevance", file) or (None,)
    (classification,) = facts.chosen("classification", file) or (None,)
    annotations = facts.chosen("annotations", file) or ()
    return cybertip.cleaned(
        {
            "originalFileName": upload and upload.file_name,
            "uploadedToEspTimestamp": upload and upload.at,
            "locationOfFile": upload and upload.url,
            "fileViewedByEsp": file.viewed,
            "exifViewedByEsp": file.exif_viewed,
            "publiclyAvailable": upload.public if upload else None,
            "fileRelevance": relevance,
            "fileAnnotations": dict.fromkeys(annotations, True),
            "industryClassification": None if classification == UNCLASSIFIED else classification,
            "originalFileHash": [
                {"@hashType": one.type, "$": one.value} for one in (upload.hashes if upload else ())
            ],
            "ipCaptureEvent": _ip(upload.ip) if upload else None,
            "deviceId": [_device(device) for device in (upload.devices if upload else ())],
            "details": [
                {
                    "nameValuePair": [
                        {"@type": "HASH", "name": name, "value": value}
                        for name, value in _evidence(facts, file)
                    ]
                }
            ],
            "additionalInfo": [
                *([upload.additional_info] if upload and upload.additional_info else []),
                *_cited(facts, file),
            ],
        }
    )


def _evidence(facts: DraftFacts, file: ReportedFile) -> Iterator[tuple[str, str]]:
    """Yield what matched, and how near; an entry's id only if that is allowed, and never a hash."""
    for number, item in enumerate(file.items, 1):
        match = item.record.matches[0]
        variant = item.record.hash.variant if match.variant is UNSET else match.variant
        frame = item.record.item.frame if match.frame is UNSET else match.frame
        said = {
            "algorithm": match.algorithm,
            "distance in bits": str(match.distance),
            "most bits of a match": str(match.max_distance),
            "list": match.list,
            "version of the list": match.list_version,
            "variant": variant,
            "frame": str(frame),
        }
        if match.video is not UNSET:
            more = match.video.segment_count - len(match.video.segments)
            said["seconds of the video"] = "; ".join(
                [
                    f"{first:g} to {last:g}"
                    for first, last in (s.query for s in match.video.segments)
                ]
                + [f"{more} more"] * bool(more)
            )
            counts = match.video.query_matched, match.video.query_frames
            said["different frames that match"] = "{:,} of {:,}".format(*counts)
        if facts.list_entries:
            said["entry of the list"] = match.entry
        for name, value in said.items():
            yield f"hash match {number}, {name}", value or "-"


def _cited(facts: DraftFacts, file: ReportedFile) -> Iterator[str]:
    """Yield on which events of the history the flags rest, without the names of staff."""
    for what, views in (
        ("The whole file was viewed", file.proof_of_view),
        ("Of the file, only this was viewed", () if file.viewed else file.partial_views),
        ("The EXIF data was viewed", file.proof_of_exif),
    ):
        if views:
            times = "; ".join(_cited_view(view) for view in views)
            yield f"{what}: {times}. Head of the history {facts.head}."


def _cited_view(view: FileView) -> str:
    part = f"{view.part}, " if view.part else ""
    return f"{part}event {view.event} at {timestamp(view.at)}"


def _rows(path: str, value: Any) -> Iterator[Row]:
    """Yield every value of a document with the path to it."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _rows(path if name == "$" else f"{path}/{name}", each)
    elif isinstance(value, list):
        for number, each in enumerate(value, 1):
            yield from _rows(f"{path}[{number}]" if len(value) > 1 else path, each)
    else:
        yield Row(path, {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool)
                  else str(value))  # fmt: skip
