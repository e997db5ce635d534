"""Drafts of reports: of confirmed cases only, in the order of the schema, with what was seen."""

from __future__ import annotations

import ast
import os
import random
import re
import socket
import subprocess
import sys
import typing
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import msgspec
import pytest

from conftest import FIXTURES, ROOT
from hashmatch.errors import (
    HashmatchError,
    QueueUnavailable,
    ReviewError,
    StoreError,
    UnknownPlugin,
    UsageError,
)
from hashmatch.records.cases import CaseState, ConfirmedCase, Origin
from hashmatch.records.review import VideoMatch, VideoSegment
from hashmatch.review.access import record_exif, record_view
from hashmatch.review.drafts import cybertip
from hashmatch.review.drafts import draft as draft_module
from hashmatch.review.drafts.account import AccountFile, Location, read_account
from hashmatch.review.drafts.destinations import (
    DraftDestination,
    DraftFacts,
    Rendered,
    load_destination,
)
from hashmatch.review.drafts.draft import (
    DraftStatus,
    choose,
    confirmed_case,
    draft_status,
    files_and_choices,
    make_draft,
    sign_draft,
    write_draft,
)
from hashmatch.review.drafts.nca import NcaDraft
from hashmatch.review.drafts.ncmec import NcmecDraft
from hashmatch.review.drafts.seen import reported_files
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.settings import Settings
from hashmatch.testing import check_draft_destination, example_record
from review_drafts import choose_all, confirm, example_account
from review_queues import Clock, take_and_decide, take_case
from review_records import make_record, many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hashmatch.records.review import ReviewRecord

GOLDEN = FIXTURES / "drafts"
PUBLIC_CLIENT = os.environ.get("HASHMATCH_NCMEC_PYTHON", "")
"""A Python with the package ncmec-cybertip, which needs 3.13."""


@pytest.fixture
def clock() -> Clock:
    """Return a time after the incident of the example."""
    made = Clock()
    made.pass_(days=1)
    return made


@pytest.fixture
def queue(tmp_path: Path, clock: Clock) -> Iterator[ReviewQueue]:
    """Make a queue."""
    settings, path = Settings(pause=timedelta(0)), str(tmp_path / "queue.db")
    with ReviewQueue.open(path, create=True, settings=settings, now=clock) as made:
        yield made
        made.verify()


def record(number: int, media_type: str = "image/jpeg", frame: int = 0, **how: Any) -> ReviewRecord:
    """Return a record of picture 1, or of another file of the same picture."""
    made = make_record(number, 1, **how)
    return replace(made, item=replace(made.item, media_type=media_type, frame=frame))


def look(
    queue: ReviewQueue,
    item: int = 0,
    extent: str = "colour",
    whole: bool = True,
    second: float | None = None,
) -> None:
    """Uncover a picture of the next case, which stays with ana."""
    case = take_case(queue, "ana")
    name = case.items[item].record.record_id
    record_view(queue, case.case_id, "ana", name, extent, whole=whole, second=second)


def one_file(queue: ReviewQueue, clock: Clock) -> ConfirmedCase:
    queue.add([(record(1), Origin("s3://photos"))])
    look(queue)
    return confirm(queue, clock)


def many_files(queue: ReviewQueue, clock: Clock) -> ConfirmedCase:
    queue.add([record(1), record(2), record(3)])
    look(queue, 1)
    look(queue, 2, "gray")
    return confirm(queue, clock)


def a_clip(queue: ReviewQueue, clock: Clock) -> ConfirmedCase:
    queue.add([record(1, "video/mp4", frame=120)])
    look(queue, whole=False, second=4.0)
    look(queue, whole=False, second=7.5, extent="gray")
    look(queue, whole=False, second=9.0, extent="light")
    return confirm(queue, clock)


def a_frame(queue: ReviewQueue, clock: Clock) -> ConfirmedCase:
    queue.add([record(1, "image/webp", frame=7)])
    look(queue, whole=False)
    return confirm(queue, clock)


def inherited_left_out(queue: ReviewQueue, clock: Clock) -> ConfirmedCase:
    queue.add([record(1)])
    look(queue)
    case = confirm(queue, clock)
    queue.add([record(2)])
    return confirmed_case(queue, case.case_id)


def nothing_viewed(queue: ReviewQueue, clock: Clock) -> ConfirmedCase:
    queue.add([record(1)])
    look(queue, extent="light")
    return confirm(queue, clock)


def exif_viewed(queue: ReviewQueue, clock: Clock) -> ConfirmedCase:
    queue.add([record(1)])
    case = take_case(queue, "ana")
    record_exif(queue, case.case_id, "ana", case.items[0].record.record_id)
    return confirm(queue, clock)


def two_who_disagreed(queue: ReviewQueue, clock: Clock) -> ConfirmedCase:
    queue.change(replace(queue.settings, two_reviewers=True))
    queue.add([record(1)])
    take_and_decide(queue, "confirmed", "ana")
    look_id = take_and_decide(queue, "not_a_match", "bo").case_id
    clock.pass_(minutes=11)
    queue.look_again(look_id, "cem", "they disagreed")
    look(queue)
    return confirm(queue, clock, "ana", "cem")


def with_account(**change: Any) -> Callable[[], AccountFile]:
    def made() -> AccountFile:
        given = example_account()
        assert given.account is not None
        return msgspec.structs.replace(
            given, account=msgspec.structs.replace(given.account, **change)
        )

    return made


def without_email() -> AccountFile:
    given = example_account()
    assert given.account is not None
    person = msgspec.structs.replace(given.account.person, emails=())
    return with_account(person=person)()


CASES: dict[
    str, tuple[Callable[[ReviewQueue, Clock], ConfirmedCase], Callable[[], AccountFile]]
] = {
    "one-file": (one_file, example_account),
    "many-files": (many_files, example_account),
    "clip": (a_clip, example_account),
    "frame": (a_frame, example_account),
    "inherited-left-out": (inherited_left_out, example_account),
    "nothing-viewed": (nothing_viewed, example_account),
    "exif-viewed": (exif_viewed, example_account),
    "without-email": (one_file, without_email),
    "prior-reports": (one_file, with_account(prior_reports=(1000001, 1000002, 1000003))),
    "disagreed": (two_who_disagreed, example_account),
}


def documents(queue: ReviewQueue, clock: Clock, name: str) -> dict[str, bytes]:
    make, account = CASES[name]
    case = make(queue, clock)
    choose_all(queue, case)
    made = make_draft(queue, case, "ncmec", account())
    assert made.is_complete, made.rendered.gaps
    # The digest of the history is another each time.
    return {
        name: re.sub(rb":[0-9a-f]{64}", b":" + b"0" * 64, data)
        for name, data in made.rendered.documents.items()
    }


def golden(name: str) -> dict[str, bytes]:
    folder = GOLDEN / name
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.xml"))}


@pytest.mark.parametrize("name", CASES)
def test_each_draft_is_as_it_was(queue: ReviewQueue, clock: Clock, name: str) -> None:
    """`fixtures/make_drafts.py` writes the goldens, and what it changes is read."""
    assert documents(queue, clock, name) == golden(name)


VIEWED = {
    "one-file": ["true"],
    "many-files": ["false", "true", "true"],
    "clip": ["false"],
    "frame": ["false"],
    "inherited-left-out": ["true"],
    "nothing-viewed": ["false"],
    "exif-viewed": ["false"],
}


@pytest.mark.parametrize("name", VIEWED)
def test_goldens_say_what_was_seen(name: str) -> None:
    """Read from the files alone, so that a golden which says otherwise is found."""
    details = [data for file, data in golden(name).items() if file.startswith("file-")]
    said = [ElementTree.fromstring(data) for data in details]
    assert [each.findtext("fileViewedByEsp") for each in said] == VIEWED[name]
    exif = ["true" if name == "exif-viewed" else "false"] * len(said)
    assert [each.findtext("exifViewedByEsp") for each in said] == exif
    cited = [
        bool(re.search("The (whole file|EXIF data) was viewed: event [0-9]+ at", data.decode()))
        for data in details
    ]
    assert cited == [v == "true" or e == "true" for v, e in zip(VIEWED[name], exif, strict=True)]


ORDER = {
    "report": "batchedReport incidentSummary internetDetails lawEnforcement reporter "
    "personOrUserReported intendedRecipient victim additionalInfo",
    "incidentSummary": "incidentType platform escalateToHighPriority reportAnnotations "
    "incidentDateTime incidentDateTimeDescription",
    "reporter": "reportingPerson contactPerson companyTemplate termsOfService legalURL",
    "personOrUserReported": "personOrUserReportedPerson vehicleDescription espIdentifier "
    "espService compromisedAccount screenName displayName profileUrl profileBio "
    "ipCaptureEvent deviceId thirdPartyUserReported priorCTReports groupIdentifier "
    "estimatedLocation allEmailsReported associatedAccount additionalInfo",
    "ipCaptureEvent": "ipAddress eventName dateTime possibleProxy port",
    "deviceId": "idType idValue eventName dateTime",
    "estimatedLocation": "city region countryCode",
    "personOrUserReportedPerson": "firstName lastName phone email address age "
    "ageAssertionDiscrepancy dateOfBirth",
    "fileDetails": "reportId fileId originalFileName uploadedToEspTimestamp locationOfFile "
    "fileViewedByEsp exifViewedByEsp publiclyAvailable fileRelevance fileAnnotations "
    "industryClassification originalFileHash ipCaptureEvent deviceId details additionalInfo",
}
"""The order of elements, as the documentation of the web service has it."""


@pytest.mark.parametrize("name", CASES)
def test_elements_are_in_the_documented_order(name: str) -> None:
    for data in golden(name).values():
        for element in ElementTree.fromstring(data).iter():
            order = ORDER.get(element.tag, "").split()
            places = [order.index(child.tag) for child in element] if order else []
            assert places == sorted(places), element.tag


COMPARED = """
import sys
from pathlib import Path
from ncmec_cybertip import FileDetails, Report
for path in sorted(Path(sys.argv[1]).rglob("*.xml")):
    text = path.read_bytes()
    if path.name == "report.xml":
        Report.from_xml(text)
    else:
        given = b"<fileDetails>\\n  <reportId>9900001</reportId>\\n  <fileId>abc</fileId>"
        FileDetails.from_xml(text.replace(b"<fileDetails>", given))
    print(path.name)
"""


@pytest.mark.slow
@pytest.mark.skipif(not PUBLIC_CLIENT, reason="HASHMATCH_NCMEC_PYTHON names no Python")
def test_the_public_client_reads_each_of_them() -> None:
    run = subprocess.run(
        [PUBLIC_CLIENT, "-c", COMPARED, str(GOLDEN)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.split()) == sum(len(golden(name)) for name in CASES) > 20


SCHEMA_OF_CLIENT = """
import json, ncmec_cybertip as n
from ncmec_cybertip import common, enums, files, report
models = dict(report=report.Report, incidentSummary=report.IncidentSummary,
    personOrUserReported=report.PersonOrUserReported, fileDetails=files.FileDetails,
    ipCaptureEvent=common.IpCaptureEvent, deviceId=common.DeviceId, reporter=report.Reporter,
    fileAnnotations=files.FileAnnotations, reportAnnotations=report.ReportAnnotations)
said = {name: list(model.model_fields) for name, model in models.items()}
print(json.dumps({"models": said,
    "incident types": [v.value for v in enums.IncidentType],
    "events": [v.value for v in enums.EventName],
    "emails": [v.value for v in enums.EmailType],
    "phones": [v.value for v in enums.PhoneType],
    "addresses": [v.value for v in enums.AddressType],
    "relevance": [v.value for v in enums.FileRelevance],
    "classification": [v.value for v in enums.IndustryClassification]}))
"""


def snake(name: str) -> str:
    """Return the name of an element as the public client calls it."""
    found = re.sub("CTReports$", "_ct_reports", name).replace("URL", "_url")
    return re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", found).lower()


@pytest.mark.slow
@pytest.mark.skipif(not PUBLIC_CLIENT, reason="HASHMATCH_NCMEC_PYTHON names no Python")
def test_our_models_agree_with_those_of_the_public_client() -> None:
    """In names and order; it has elements that no draft of ours has."""
    run = subprocess.run(
        [PUBLIC_CLIENT, "-c", SCHEMA_OF_CLIENT], capture_output=True, text=True, check=True
    )
    theirs = msgspec.json.decode(run.stdout)
    for name, order in theirs["models"].items():
        element = elements()[name]
        assert isinstance(element.content, tuple)
        ours = [snake(child.name) for child in element.content if child.name[0] not in "@$"]
        renamed = {"person": "person_or_user_reported_person"}
        known = [renamed.get(each, each) for each in order]
        assert set(ours) <= set(known), name
        assert [each for each in known if each in ours] == ours, name
    assert theirs["incident types"] == list(cybertip.INCIDENT_TYPES)
    assert theirs["events"] == list(cybertip.EVENTS)
    assert theirs["emails"] == list(cybertip.EMAILS)
    assert theirs["phones"] == list(cybertip.PHONES)
    assert theirs["addresses"] == list(cybertip.ADDRESSES)
    assert theirs["relevance"] == [cybertip.REPORTED, cybertip.SUPPLEMENTAL]
    assert theirs["classification"] == list(cybertip.CLASSIFICATIONS)


def elements() -> dict[str, cybertip.Element]:
    """Return every element that has others in it, by its name."""
    found: dict[str, cybertip.Element] = {}

    def add(element: cybertip.Element) -> None:
        if isinstance(element.content, tuple):
            found.setdefault(element.name, element)
            for child in element.content:
                add(child)

    add(cybertip.REPORT)
    add(cybertip.FILE_DETAILS)
    return found


# What was seen


def test_flags_are_what_the_events_say_over_random_histories(
    queue: ReviewQueue, clock: Clock
) -> None:
    """A thousand files, each of some records and with a history of its own."""
    rng = random.Random(23)
    with queue.transaction():
        seen: dict[str, tuple[bool, bool]] = {}
        for number in range(250):
            value = rng.getrandbits(256)
            made = [make_record(4 * number + n, value) for n in range(4)]
            again = [  # of the same file, by another rule
                replace(one, record_id=f"{one.record_id}-b") for one in made if rng.random() < 0.3
            ]
            queue.add([*made, *again])
            case = take_case(queue, "ana")
            assert len(case.items) == len(made) + len(again)
            for item in case.items:
                viewed = exif = False
                for _ in range(rng.randrange(4)):
                    name = item.record.record_id
                    extent = rng.choice(["light", "gray", "colour", "exif"])
                    whole = rng.random() < 0.6
                    if extent == "exif":
                        record_exif(queue, case.case_id, "ana", name)
                        exif = True
                    else:
                        record_view(queue, case.case_id, "ana", name, extent, whole=whole)
                        viewed |= whole and extent != "light"
                before = seen.get(item.record.item.key, (False, False))
                seen[item.record.item.key] = before[0] or viewed, before[1] or exif
            queue.decide(case.case_id, "ana", "confirmed", "seen", case.reviewed_digest)
    clock.pass_(minutes=11)
    found: dict[str, tuple[bool, bool]] = {}
    for confirmed in queue.confirmed():
        for file in reported_files(confirmed, queue.history(confirmed.case_id)):
            found[file.key] = file.viewed, file.exif_viewed
            cited = {view.event for view in (*file.proof_of_view, *file.proof_of_exif)}
            names = {item.record.record_id for item in file.items}
            for event in queue.history(confirmed.case_id):
                if event.number in cited:
                    assert event.body["record"] in names
    assert len(found) == 1000
    assert found == seen
    assert {viewed for viewed, _ in found.values()} == {True, False}


def test_a_view_of_before_counts_where_a_file_has_one_picture(
    queue: ReviewQueue, clock: Clock
) -> None:
    """Events of an older version do not say whether it was all of the file."""
    queue.add([record(1), record(2, "image/gif")])
    case = confirm(queue, clock)
    (event,) = [one for one in queue.history(case.case_id) if one.kind == "taken"]
    views = [
        replace(event, kind="uncovered", body={"record": item.record.record_id, "extent": "gray"})
        for item in case.items
    ]
    assert [file.viewed for file in reported_files(case, views)] == [True, False]


# Only of confirmed cases


def test_no_draft_of_anything_else(queue: ReviewQueue, clock: Clock) -> None:
    queue.add(many(4))
    states = [take_and_decide(queue, v) for v in ("not_a_match", "unsure", "escalated")]
    states += [next(queue.cases("pending_review"))]
    account = example_account()
    for case in states:
        for given in (case, replace(case, state=CaseState.CONFIRMED), example_record(), None):
            with pytest.raises(UsageError, match="have not confirmed"):
                make_draft(queue, typing.cast("Any", given), "ncmec", account)
        with pytest.raises(ReviewError, match=f"it is {case.state}"):
            confirmed_case(queue, case.case_id)
        with pytest.raises(ReviewError, match="made of confirmed cases only"):
            choose(queue, case.case_id, "nca", "reported-abroad", ["no"], "ana")
        bare = object.__new__(ConfirmedCase)
        for name, value in (
            ("case", case), ("event", 1), ("final_at", clock.time), ("handed_at", clock.time),
        ):  # fmt: skip
            object.__setattr__(bare, name, value)
        with pytest.raises(UsageError, match="cannot confirm"):
            make_draft(queue, bare, "ncmec", account)


def test_none_while_the_decision_can_be_undone(queue: ReviewQueue, clock: Clock) -> None:
    queue.add([record(1)])
    case = take_and_decide(queue, "confirmed")
    with pytest.raises(ReviewError, match="can be undone until 2026-01-02T00:10:00Z"):
        confirmed_case(queue, case.case_id)
    clock.pass_(minutes=11)
    assert confirmed_case(queue, case.case_id).case_id == case.case_id


def test_the_types_say_so(tmp_path: Path) -> None:
    assert typing.get_type_hints(
        make_draft,
        {"ConfirmedCase": ConfirmedCase}
        | dict.fromkeys(("ReviewQueue", "AccountFile", "Draft"), object),
    )["case"] is ConfirmedCase  # fmt: skip
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from hashmatch.records.cases import Case, ConfirmedCase\n"
        "from hashmatch.review.drafts.account import AccountFile\n"
        "from hashmatch.review.drafts.draft import make_draft\n"
        "from hashmatch.review.queue import ReviewQueue\n"
        "def send(q: ReviewQueue, c: Case, d: ConfirmedCase, a: AccountFile) -> None:\n"
        "    make_draft(q, d, 'ncmec', a)\n"
        "    make_draft(q, c, 'ncmec', a)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", wrong],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "No module named mypy" in done.stderr:
        pytest.skip("mypy is not installed")
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert [int(line.split(":")[1]) for line in errors] == [7], done.stdout
    assert 'expected "ConfirmedCase"' in errors[0]


# What a person has to say


def test_it_is_incomplete_until_a_person_has_chosen(
    queue: ReviewQueue, clock: Clock, tmp_path: Path
) -> None:
    case = many_files(queue, clock)
    made = make_draft(queue, case, "ncmec", example_account())
    missing = [gap.field for gap in made.rendered.gaps if not gap.note]
    per_file = [f"file {n}: {q}" for q in ("relevance", "classification", "annotations")
                for n in (1, 2, 3)]  # fmt: skip
    assert missing == ["report: incident-type", "report: report-annotations", *per_file]
    assert all(gap.page.startswith("https://") for gap in made.rendered.gaps)
    status = write_draft(queue, made, tmp_path / "out", "ana")
    assert sorted(os.listdir(tmp_path / "out")) == ["manifest.json", "summary.html"]
    assert not status.manifest.complete
    with pytest.raises(ReviewError, match="incomplete"):
        sign_draft(queue, tmp_path / "out", "ana")
    for data in made.rendered.documents.values():  # nothing of it is filled in
        for name in ("industryClassification", "fileRelevance", "fileAnnotations", "incidentType",
                     "reportAnnotations"):  # fmt: skip
            assert f"<{name}".encode() not in data
    choose_all(queue, case)
    assert make_draft(queue, case, "ncmec", example_account()).is_complete


def test_each_answer_has_a_meaning_beside_it() -> None:
    for name in ("ncmec", "nca"):
        destination = load_destination(name)
        assert isinstance(destination, DraftDestination)
        for question in destination.questions:
            assert question.text
            assert question.page.startswith("https://")
            assert all(len(option.meaning) > 3 for option in question.options)
    with pytest.raises(UnknownPlugin, match="cannot find the destination of drafts 'interpol'"):
        load_destination("interpol")


def test_what_is_chosen_is_checked_and_the_latest_counts(queue: ReviewQueue, clock: Clock) -> None:
    case = one_file(queue, clock)
    name, case_id = case.items[0].record.record_id, case.case_id
    for question, values, about, problem in (
        ("colour", ["red"], "", "asks no such question"),
        ("incident-type", ["Parking"], "", "Give one of"),
        ("incident-type", [], "", "give one"),
        ("classification", ["A1", "A2"], name, "give one"),
        ("classification", ["A1"], "", "about one file"),
        ("incident-type", ["Child Sex Tourism"], name, "about the whole report"),
        ("classification", ["A1"], "record-9", "has none such"),
    ):
        with pytest.raises(HashmatchError, match=problem):
            choose(queue, case_id, "ncmec", question, values, "ana", record=about)
    for value in ("A1", "A2"):
        choose(queue, case_id, "ncmec", "classification", [value], "bo", record=name)
    _, chosen = files_and_choices(queue, case_id, "ncmec")
    assert [(one.question, one.values, one.who) for one in chosen] == [
        ("classification", ("A2",), "bo")
    ]
    choose_all(queue, case)
    choose(queue, case_id, "ncmec", "relevance", ["Supplemental Reported"], "bo", record=name)
    gaps = make_draft(queue, case, "ncmec", example_account()).rendered.gaps
    assert [gap.field for gap in gaps if not gap.note] == [
        "file-1.xml: fileDetails/industryClassification"
    ]


def test_the_contract_is_kept_and_a_destination_that_guesses_is_found() -> None:
    for made in (NcmecDraft, NcaDraft):
        check_draft_destination(made)

    class Guesses(NcaDraft):
        def render(self, facts: DraftFacts) -> Rendered:
            return replace(super().render(facts), gaps=())

    with pytest.raises(AssertionError, match="reported-abroad is missing, and that is no gap"):
        check_draft_destination(Guesses)


# The folder


def draft_in(queue: ReviewQueue, clock: Clock, folder: Path) -> ConfirmedCase:
    case = one_file(queue, clock)
    choose_all(queue, case)
    write_draft(queue, make_draft(queue, case, "ncmec", example_account()), folder, "ana")
    return case


def test_two_people_sign_it_off(queue: ReviewQueue, clock: Clock, tmp_path: Path) -> None:
    out = tmp_path / "out"
    draft_in(queue, clock, out)
    assert not sign_draft(queue, out, "ana").is_signed_off
    for name in ("ana", "ANA "):
        with pytest.raises(ReviewError, match="has signed it off already"):
            sign_draft(queue, out, name)
    status = sign_draft(queue, out, "bo")
    assert status.is_signed_off
    assert status.signed_by == ("ana", "bo")
    signed = msgspec.json.decode((out / "signed-off.json").read_bytes())
    assert signed["manifest_sha256"] == status.digest
    kinds = [event.kind for event in queue.history()][-3:]
    assert kinds == ["draft_written", "draft_signed", "draft_signed"]


def test_one_person_at_two_places_at_once_signs_once(
    queue: ReviewQueue, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    draft_in(queue, clock, out)
    other = ReviewQueue.open(str(tmp_path / "queue.db"), now=clock)
    other.patience = 0.1

    def status_while_the_other_signs(*given: Any) -> DraftStatus:
        monkeypatch.setattr(draft_module, "draft_status", draft_status)
        found = draft_status(*given)
        with suppress(QueueUnavailable):
            sign_draft(other, out, "ana")
        return found

    monkeypatch.setattr(draft_module, "draft_status", status_while_the_other_signs)
    with other:
        assert sign_draft(queue, out, "ana").signed_by == ("ana",)
    assert [event.kind for event in queue.history()].count("draft_signed") == 1


def test_two_who_write_into_one_folder_at_once_leave_one_draft(
    queue: ReviewQueue, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, out = one_file(queue, clock), tmp_path / "out"
    choose_all(queue, case)
    draft = make_draft(queue, case, "ncmec", example_account())
    clear = draft_module._clear
    other = ReviewQueue.open(str(tmp_path / "queue.db"), now=clock)
    other.patience = 0.1

    def clear_while_the_other_writes(path: str, case_id: str) -> None:
        monkeypatch.setattr(draft_module, "_clear", clear)
        clear(path, case_id)
        with suppress(QueueUnavailable):
            write_draft(other, draft, out, "bo")

    monkeypatch.setattr(draft_module, "_clear", clear_while_the_other_writes)
    with other:
        digest = write_draft(queue, draft, out, "ana").digest
    assert draft_status(queue, out).digest == digest
    assert [event.kind for event in queue.history()].count("draft_written") == 1


def test_what_was_signed_is_what_is_there(queue: ReviewQueue, clock: Clock, tmp_path: Path) -> None:
    out = tmp_path / "out"
    case = draft_in(queue, clock, out)
    sign_draft(queue, out, "ana")
    text = (out / "report.xml").read_bytes()
    (out / "report.xml").write_bytes(text.replace(b"1001", b"1009"))
    with pytest.raises(ReviewError, match=r"report\.xml was changed"):
        sign_draft(queue, out, "bo")
    (out / "report.xml").unlink()
    with pytest.raises(ReviewError, match=r"it has no report\.xml\. .* write it anew"):
        draft_status(queue, out)
    (out / "report.xml").write_bytes(text)
    (out / "report.xml").chmod(0o600)
    manifest = (out / "manifest.json").read_bytes()
    (out / "manifest.json").write_bytes(manifest.replace(b'"complete": true', b'"complete":  true'))
    with pytest.raises(ReviewError, match="does not say that it was written"):
        draft_status(queue, out)
    (out / "manifest.json").write_bytes(manifest)
    # The second person asks for the picture, whose flag is set already: nothing changes.
    name = case.items[0].record.record_id
    record_view(queue, case.case_id, "bo", name, "gray", whole=True, held=False)
    assert not draft_status(queue, out).outdated
    record_exif(queue, case.case_id, "bo", name, held=False)
    assert draft_status(queue, out).outdated
    with pytest.raises(ReviewError, match="Write it anew"):
        sign_draft(queue, out, "bo")
    write_draft(queue, make_draft(queue, case, "ncmec", example_account()), out, "bo")
    assert draft_status(queue, out).signed_by == ()  # both read it again


def test_a_case_that_is_asked_about_again_has_no_draft(
    queue: ReviewQueue, clock: Clock, tmp_path: Path
) -> None:
    case = draft_in(queue, clock, tmp_path / "out")
    queue.look_again(case.case_id, "ana", "an appeal", everything=True)
    assert draft_status(queue, tmp_path / "out").outdated


def test_nothing_else_in_a_folder_is_written_over(
    queue: ReviewQueue, clock: Clock, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    case = draft_in(queue, clock, out)
    made = make_draft(queue, case, "ncmec", example_account())
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ReviewError, match="something else is in it"):
        write_draft(queue, made, out, "ana")
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "report.xml").exists()
    (tmp_path / "other").mkdir(mode=0o700)
    (tmp_path / "other" / "a").touch()
    with pytest.raises(ReviewError, match="something else is in it"):
        write_draft(queue, made, tmp_path / "other", "ana")


SECRETS = [
    "robin@example.org", "202-555-0199", "192.0.2.14", "2001:db8::14", "robin_example", "Invented",
    "1990-02-03", "Springfield", "holiday.jpg", "49153", "safety@photos.example",
]  # fmt: skip


def test_account_data_is_in_the_folder_alone(
    queue: ReviewQueue, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    caplog.set_level("DEBUG")
    case = draft_in(queue, clock, out)
    for name in ("ana", "bo"):
        sign_draft(queue, out, name)
    assert out.stat().st_mode & 0o777 == 0o700
    for path in out.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path
    report = (out / "report.xml").read_text() + (out / "file-1.xml").read_text()
    summary = (out / "summary.html").read_text()
    assert all(text in report for text in SECRETS)
    assert all(text in summary for text in SECRETS)
    assert not any(text in (out / "manifest.json").read_text() for text in SECRETS)
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("queue.db*"))
    assert not any(text.encode() in kept for text in SECRETS)
    assert not any(text in caplog.text for text in SECRETS)
    given, made = example_account(), make_draft(queue, case, "ncmec", example_account())
    shown = f"{given!r} {given.account!r} {made.facts!r}"
    assert not any(text in shown for text in SECRETS)


def test_an_account_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "account.json"
    path.write_bytes((FIXTURES / "account.json").read_bytes())
    path.chmod(0o644)
    with pytest.raises(StoreError, match="can be read by others"):
        read_account(path)
    path.chmod(0o600)
    assert read_account(path).upload("profiles/0000001.jpg") is not None


@pytest.mark.parametrize("destination", ["ncmec", "nca"])
def test_an_upload_that_is_not_used_is_named(
    queue: ReviewQueue, clock: Clock, destination: str
) -> None:
    case, account = one_file(queue, clock), example_account()
    (upload,) = account.uploads
    other = msgspec.structs.replace(upload, key="profiles/elsewhere.jpg")
    account = msgspec.structs.replace(account, uploads=(other, upload, upload))
    gaps = make_draft(queue, case, destination, account).rendered.gaps
    said = {gap.field: gap for gap in gaps if gap.field.startswith("account: uploads")}
    assert list(said) == ["account: uploads[1]", "account: uploads[3]"]
    assert [gap.note for gap in said.values()] == [True, False]
    assert "elsewhere" not in str(said)


@pytest.mark.parametrize("field", ["incident", "uploads"])
def test_a_time_without_a_zone_is_refused(tmp_path: Path, field: str) -> None:
    path = tmp_path / "account.json"
    given = msgspec.json.decode((FIXTURES / "account.json").read_bytes())
    part = given[field] if field == "incident" else given[field][0]
    part["at"] = part["at"].removesuffix("Z")
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.encode(given))
    with pytest.raises(UsageError, match=rf"timezone .*at `\$\.{field}"):
        read_account(path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('"192.0.2.14"', '"192.0.2.999"'), r"ipCaptureEvent\[1\]/ipAddress: it is no IP address"),
        (("49152", "99999"), r"ipCaptureEvent\[1\]/port: it is not within 1 and 65535"),
        (('"Home"', '"Elsewhere"'), r"email\[1\]/@type: it is not one of Home; Work"),
        (('"+1"', '"1"'), r"@countryCallingCode: it does not match"),
        (('"US"', '"USA"'), r"/country: it does not match"),
        (('"robin_example"', f'"{"x" * 257}"'), "screenName: it has 257 characters"),
        (('"Robin"', '"\\u0001"'), "firstName: it has characters that XML does not have"),
        (("[1000001]", "[0]"), r"priorCTReports\[1\]: it is not within"),
        (("2026-01-01T10:00:00Z", "2026-01-02T00:11:01Z"), "incident.at: it is in the future"),
    ],
)
def test_a_wrong_field_is_named_and_not_shown(
    queue: ReviewQueue, clock: Clock, change: tuple[str, str], problem: str
) -> None:
    text = (FIXTURES / "account.json").read_text().replace(*change)
    account = msgspec.json.decode(text, type=AccountFile)
    case = one_file(queue, clock)
    choose_all(queue, case)
    made = make_draft(queue, case, "ncmec", account)
    assert not made.is_complete
    gaps = [f"{gap.field}: {gap.reason}" for gap in made.rendered.gaps if not gap.note]
    assert any(re.search(problem, gap) for gap in gaps), gaps
    assert all(gap.page == cybertip.DOCUMENTATION for gap in made.rendered.gaps)
    assert "192.0.2.999" not in str(gaps)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('"account": {', '"acount": {'), "unknown field `acount`"),
        (('"address": "192.0.2.14"', '"address": 7'), r"Expected `str`, got `int`.*ip_events"),
        (("hashmatch.account/1", "hashmatch.account/9"), "Invalid enum value"),
        (('"incident"', "incident"), "it is no JSON"),
    ],
)
def test_an_account_of_another_shape_is_refused(
    tmp_path: Path, change: tuple[str, str], problem: str
) -> None:
    path = tmp_path / "account.json"
    path.write_text((FIXTURES / "account.json").read_text().replace(*change))
    path.chmod(0o600)
    with pytest.raises(UsageError, match=problem) as caught:
        read_account(path)
    assert "robin" not in str(caught.value)
    assert "docs/drafts.md" in str(caught.value)


def test_text_of_others_is_text_in_the_summary(
    queue: ReviewQueue, clock: Clock, tmp_path: Path
) -> None:
    made_of = record(1)
    key = "<script>alert(1)</script>\u202e.jpg"
    queue.add([replace(made_of, item=replace(made_of.item, key=key))])
    case = confirm(queue, clock)
    account = msgspec.json.decode(
        (FIXTURES / "account.json").read_text().replace("R. Example", "<b>&amp;]]>"),
        type=AccountFile,
    )
    choose_all(queue, case)
    made = make_draft(queue, case, "ncmec", account)
    write_draft(queue, made, tmp_path / "out", "ana")
    page = (tmp_path / "out" / "summary.html").read_text()
    assert "<script" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;" in page
    report = ElementTree.fromstring(made.rendered.documents["report.xml"])
    assert "<b>&amp;]]>" in [each.text for each in report.iter("displayName")]


def test_a_match_of_a_video_says_which_seconds(queue: ReviewQueue, clock: Clock) -> None:
    made = record(1, "video/mp4", frame=120)
    segments = (VideoSegment((4.0, 9.5), 6), VideoSegment((20.0, 21.0), 2))
    video = VideoMatch(segments, 3, 40, 10)
    matches = (replace(made.matches[0], video=video),)
    queue.add([replace(made, matches=matches)])
    case = confirm(queue, clock)
    rows = make_draft(queue, case, "ncmec", example_account()).rendered.rows
    values = [row.value for row in rows]
    assert values[values.index("hash match 1, seconds of the video") + 1] == (
        "4 to 9.5; 20 to 21; 1 more"
    )
    name = "hash match 1, different frames that match"
    assert values[values.index(name) + 1] == "10 of 40"


def test_entries_are_named_only_if_that_is_asked_for(queue: ReviewQueue, clock: Clock) -> None:
    queue.add([make_record(1, 1, entry="img-77")])
    case = confirm(queue, clock)
    choose_all(queue, case)
    for allowed in (False, True):
        made = make_draft(queue, case, "ncmec", example_account(), list_entries=allowed)
        assert (b"img-77" in made.rendered.documents["file-1.xml"]) is allowed
        assert f"{1:064x}".encode() not in b"".join(made.rendered.documents.values())


# The United Kingdom


def test_the_nca_gets_fields_and_a_list_of_gaps(queue: ReviewQueue, clock: Clock) -> None:
    case = one_file(queue, clock)
    made = make_draft(queue, case, "nca", example_account())
    assert [gap.field for gap in made.rendered.gaps if not gap.note] == ["report: reported-abroad"]
    choose(queue, case.case_id, "nca", "reported-abroad", ["no"], "ana")
    made = make_draft(queue, case, "nca", example_account())
    assert made.is_complete
    document = msgspec.json.decode(made.rendered.documents["fields.json"])
    fields = {(one["part"], one["field"]): one["value"] for one in document["fields"]}
    assert fields["user", "IP addresses and ports"].startswith("192.0.2.14 port 49152")
    assert fields["user", "connections with other accounts"] == "1002\n1003"
    assert fields["content 1", "viewed by a person"].startswith("colour, event ")
    assert fields["report", "priority"] is None
    gaps = {gap.field for gap in made.rendered.gaps}
    assert {f"{part}: {name}" for (part, name), value in fields.items() if not value} == gaps
    without = msgspec.structs.replace(example_account(), account=None, uploads=())
    assert make_draft(queue, case, "nca", without).is_complete


def test_nothing_is_guessed_of_a_location(queue: ReviewQueue, clock: Clock) -> None:
    case = one_file(queue, clock)
    choose_all(queue, case)
    account = with_account(location=Location(country="US"))()
    report = make_draft(queue, case, "ncmec", account).rendered.documents["report.xml"]
    assert b"<estimatedLocation>\n      <countryCode>US</countryCode>\n" in report


# No network


NETWORK = re.compile(r"^(socket|ssl|http|urllib|ftplib|smtplib|asyncio|httpx|requests|obstore"
                     r"|hashmatch\._net|hashmatch\.sources|hashmatch\.retry"
                     r"|hashmatch\.review\.webhook|hashmatch\.review\.web)(\.|$)")  # fmt: skip


def test_no_module_of_drafts_imports_what_dials() -> None:
    source = ROOT / "src" / "hashmatch"
    seen: set[Path] = set()
    todo = [*(source / "review" / "drafts").glob("*.py"), source / "review" / "preservation.py",
            source / "review" / "lawful_requests.py"]  # fmt: skip
    found = []
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in imported(path):
            if NETWORK.match(name):
                found.append((str(path.relative_to(source)), name))
            if name.startswith("hashmatch.review"):
                for each in (source.parent / name.replace(".", "/"),):
                    todo += [one for one in (each.with_suffix(".py"),) if one.exists()]
    # The queue may be on a server, which is no business of a draft; it is opened by the queue.
    assert [one for one in found if not one[0].startswith("review/postgres")] == []
    assert {"ncmec.py", "nca.py", "draft.py", "stopncii.py", "history.py"} <= {p.name for p in seen}


def imported(path: Path) -> Iterator[str]:
    """Yield what a module imports when it runs, wherever in it that is."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)


def test_nothing_is_dialled(
    queue: ReviewQueue, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*given: object, **named: object) -> None:
        raise AssertionError("a draft opens a socket")

    for name in ("socket", "create_connection", "getaddrinfo", "socketpair"):
        monkeypatch.setattr(socket, name, refused)
    out = tmp_path / "out"
    case = draft_in(queue, clock, out)
    for name in ("ana", "bo"):
        sign_draft(queue, out, name)
    choose(queue, case.case_id, "nca", "reported-abroad", ["no"], "ana")
    made = make_draft(queue, case, "nca", example_account())
    write_draft(queue, made, tmp_path / "nca", "ana")


def test_nothing_submits() -> None:
    """Of the web service of reports, nothing but its documentation is named in the package."""
    named = {
        found
        for path in (ROOT / "src" / "hashmatch").rglob("*.py")
        for found in re.findall(r"\S*ispws\S*", path.read_text())
    }
    assert named == {f'"{cybertip.DOCUMENTATION}"'}
