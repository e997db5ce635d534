"""The XML of NCMEC's CyberTipline reports: which elements, in which order, and what they may say.

Written from the public documentation of the web service, `DOCUMENTATION`. Only what a draft of
hashmatch may have is here. A document is a tree of plain values: a mapping for an element with
others in it, a list where an element repeats, and text, numbers, times and bools; ``@name`` is an
attribute, and ``$`` the text of an element that has some. `problems` names each field that is
missing, unknown or says what it must not, and never what it says; `to_xml` writes the elements in
the order of the schema.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from hashmatch.errors import UsageError
from hashmatch.records.times import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENTATION = "https://report.cybertip.org/ispws/documentation/"
INCIDENT_TYPES = (
    "Child Pornography (possession, manufacture, and distribution)",
    "Child Sex Trafficking",
    "Child Sex Tourism",
    "Child Sexual Molestation",
    "Misleading Domain Name",
    "Misleading Words or Digital Images on the Internet",
    "Online Enticement of Children for Sexual Acts",
    "Unsolicited Obscene Material Sent to a Child",
)
REPORT_ANNOTATIONS = (
    "sextortion", "csamSolicitation", "minorToMinorInteraction", "spam",
    "sadisticOnlineExploitation", "informational",
)  # fmt: skip
FILE_ANNOTATIONS = (
    "animeDrawingVirtualHentai", "potentialMeme", "viral", "possibleSelfProduction",
    "physicalHarm", "violenceGore", "bestiality", "liveStreaming", "infant", "generativeAi",
)  # fmt: skip
REPORTED, SUPPLEMENTAL = "Reported", "Supplemental Reported"
CLASSIFICATIONS = ("A1", "A2", "B1", "B2")
EVENTS = ("Login", "Registration", "Purchase", "Upload", "Other", "Unknown")
EMAILS = ("Home", "Work", "Business", "Recovery")
PHONES = ("Mobile", "Home", "Business", "Work", "Fax", "Internet", "Recovery")
ADDRESSES = ("Home", "Business", "Billing", "Shipping", "Technical")
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 does not have, not even escaped (section 2.2)."""


class Problem(NamedTuple):
    """What is wrong with a field, without what it says, and the page that explains it."""

    field: str
    reason: str
    page: str = DOCUMENTATION

    def __str__(self) -> str:
        return f"{self.field}: {self.reason} (see {self.page})"


@dataclass(frozen=True, slots=True)
class Text:
    """Text of at most so many characters; all of a pattern, or one of some values, if given."""

    longest: int = 0
    pattern: str = ""
    options: tuple[str, ...] = ()

    def problem(self, value: object) -> str:
        """Return what is wrong with a value; empty if nothing is."""
        if not isinstance(value, str):
            return "it is not text"
        if not value.strip():
            return "it is empty"
        if NOT_XML.search(value):
            return "it has characters that XML does not have"
        if self.longest and len(value) > self.longest:
            return f"it has {len(value):,} characters, and at most {self.longest:,} are allowed"
        if self.options and value not in self.options:
            return f"it is not one of {'; '.join(self.options)}"
        if self.pattern and not re.fullmatch(self.pattern, value):
            return f"it does not match {self.pattern}"
        return ""


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number in a range, both ends included."""

    least: int = 0
    most: int = 2**63 - 1

    def problem(self, value: object) -> str:
        """Return what is wrong with a value; empty if nothing is."""
        if not isinstance(value, int) or isinstance(value, bool):
            return "it is not a whole number"
        is_within = self.least <= value <= self.most
        return "" if is_within else f"it is not within {self.least} and {self.most}"


@dataclass(frozen=True, slots=True)
class Kind:
    """Values of one Python type; `is_flag` says that the element is there, and empty, if true."""

    type: type
    name: str
    is_flag: bool = False

    def problem(self, value: object) -> str:
        """Return what is wrong with a value; empty if nothing is."""
        if type(value) is not self.type:
            return f"it is not {self.name}"
        if isinstance(value, datetime) and value.tzinfo is None:
            return "it is a time without a zone"
        return ""


class Address:
    """An IP address, version 4 or 6."""

    def problem(self, value: object) -> str:
        """Return what is wrong with a value; empty if nothing is."""
        try:
            ipaddress.ip_address(value if isinstance(value, str) else "")
        except ValueError:
            return "it is no IP address"
        return ""


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a sequence, or an attribute if its name begins with ``@``.

    Parameters
    ----------
    name : str
        As in the document.
    content : Text, Number, Kind, Address or tuple of Element
        What is in it: a value, or other elements in their order.
    required : bool
        Whether it has to be there.
    many : bool
        Whether it may repeat.
    assigned : bool
        Given by NCMEC when a report is filed, and so in no draft.
    """

    name: str
    content: Text | Number | Kind | Address | tuple[Element, ...]
    required: bool = False
    many: bool = False
    assigned: bool = False


BOOL, FLAG = Kind(bool, "true or false"), Kind(bool, "true or false", is_flag=True)
TIME, DAY = Kind(datetime, "a time"), Kind(date, "a day")
LONG_TEXT = Text()

_IP = Element(
    "ipCaptureEvent",
    (
        Element("ipAddress", Address(), required=True),
        Element("eventName", Text(options=EVENTS)),
        Element("dateTime", TIME),
        Element("possibleProxy", BOOL),
        Element("port", Number(1, 65535)),
    ),
    many=True,
)
_DEVICE = Element(
    "deviceId",
    (
        Element("idType", Text(255), required=True),
        Element("idValue", Text(2083), required=True),
        Element("eventName", Text(options=EVENTS)),
        Element("dateTime", TIME),
    ),
    many=True,
)
_ADDRESS = Element(
    "address",
    (
        Element("@type", Text(options=ADDRESSES)),
        Element("address", Text(255)),
        Element("city", Text(100)),
        Element("zipCode", Text(20)),
        Element("state", Text(100)),
        Element("nonUsaState", Text(100)),
        Element("country", Text(pattern="[A-Z]{2}")),
    ),
    many=True,
)
_PHONE = Element(
    "phone",
    (
        Element("@type", Text(options=PHONES)),
        Element("@verified", BOOL),
        Element("@verificationDate", TIME),
        Element("@countryCallingCode", Text(pattern=r"\+[0-9]{1,3}")),
        Element("@extension", Text(10, pattern="[0-9]+")),
        Element("$", Text(50), required=True),
    ),
    many=True,
)
_EMAIL = Element(
    "email",
    (
        Element("@type", Text(options=EMAILS)),
        Element("@verified", BOOL),
        Element("@verificationDate", TIME),
        Element("$", Text(255, pattern=r"[^@\s]+@[^@\s]+"), required=True),
    ),
    many=True,
)
_CONTACT = (
    Element("firstName", Text(100)),
    Element("lastName", Text(100)),
    _PHONE,
    _EMAIL,
    _ADDRESS,
)
_PERSON = (
    *_CONTACT,
    Element("age", Number(0, 150)),
    Element("ageAssertionDiscrepancy", BOOL),
    Element("dateOfBirth", DAY),
)
_LOCATION = Element(
    "estimatedLocation",
    (
        Element("@verified", BOOL),
        Element("@timestamp", TIME),
        Element("city", Text(255)),
        Element("region", Text(255)),
        Element("countryCode", Text(pattern="[A-Z]{2}"), required=True),
    ),
)
REPORT = Element(
    "report",
    (
        Element(
            "incidentSummary",
            (
                Element("incidentType", Text(options=INCIDENT_TYPES), required=True),
                Element("platform", Text(256)),
                Element("escalateToHighPriority", Text(3000)),
                Element("reportAnnotations", tuple(Element(n, FLAG) for n in REPORT_ANNOTATIONS)),
                Element("incidentDateTime", TIME, required=True),
                Element("incidentDateTimeDescription", Text(3000)),
            ),
            required=True,
        ),
        Element(
            "internetDetails",
            (
                Element(
                    "webPageIncident",
                    (
                        Element("@thirdPartyHostedContent", BOOL),
                        Element("url", Text(2083), many=True),
                        Element("additionalInfo", LONG_TEXT),
                    ),
                ),
            ),
            many=True,
        ),
        Element(
            "reporter",
            (
                Element("reportingPerson", _PERSON, required=True),
                Element("contactPerson", _CONTACT),
                Element("companyTemplate", LONG_TEXT),
                Element("termsOfService", Text(3000)),
                Element("legalURL", Text(2083)),
            ),
            required=True,
        ),
        Element(
            "personOrUserReported",
            (
                Element("personOrUserReportedPerson", _PERSON),
                Element("vehicleDescription", Text(300)),
                Element("espIdentifier", Text(255)),
                Element("espService", Text(100)),
                Element("compromisedAccount", BOOL),
                Element("screenName", Text(256)),
                Element("displayName", LONG_TEXT, many=True),
                Element("profileUrl", Text(2083), many=True),
                Element("profileBio", LONG_TEXT),
                _IP,
                _DEVICE,
                Element("thirdPartyUserReported", BOOL),
                Element("priorCTReports", Number(1), many=True),
                Element("groupIdentifier", Text(255)),
                _LOCATION,
                Element("allEmailsReported", BOOL),
                Element("additionalInfo", LONG_TEXT),
            ),
        ),
        Element("additionalInfo", LONG_TEXT),
    ),
)
FILE_DETAILS = Element(
    "fileDetails",
    (
        Element("reportId", Number(1), required=True, assigned=True),
        Element("fileId", Text(255), required=True, assigned=True),
        Element("originalFileName", Text(2056)),
        Element("uploadedToEspTimestamp", TIME),
        Element("locationOfFile", Text(2083)),
        Element("fileViewedByEsp", BOOL),
        Element("exifViewedByEsp", BOOL),
        Element("publiclyAvailable", BOOL),
        Element("fileRelevance", Text(options=(REPORTED, SUPPLEMENTAL))),
        Element("fileAnnotations", tuple(Element(name, FLAG) for name in FILE_ANNOTATIONS)),
        Element("industryClassification", Text(options=CLASSIFICATIONS)),
        Element(
            "originalFileHash",
            (Element("@hashType", Text(64), required=True), Element("$", LONG_TEXT, required=True)),
            many=True,
        ),
        Element("ipCaptureEvent", _IP.content),
        _DEVICE,
        Element(
            "details",
            (
                Element(
                    "nameValuePair",
                    (
                        Element("@type", Text(options=("EXIF", "HASH"))),
                        Element("name", Text(64), required=True),
                        Element("value", LONG_TEXT, required=True),
                    ),
                    required=True,
                    many=True,
                ),
            ),
            many=True,
        ),
        Element("additionalInfo", LONG_TEXT, many=True),
    ),
)


def problems(element: Element, value: Any, *, filed: bool = False) -> list[Problem]:
    """Return what is wrong with a document, in the order of its schema.

    Parameters
    ----------
    element : Element
        `REPORT` or `FILE_DETAILS`.
    value : mapping
        The document.
    filed : bool
        Whether what NCMEC assigns has to be there; otherwise it must not.

    Returns
    -------
    list of Problem
        Each names its field; none has what the field says.
    """
    found = list(_problems(element, value, element.name, filed))
    if element is FILE_DETAILS and not found and value.get("fileRelevance") == SUPPLEMENTAL:
        only = f"it is only for a file whose relevance is {REPORTED}"
        if "industryClassification" in value:
            found.append(Problem("fileDetails/industryClassification", only))
        if value.get("fileAnnotations", {}).get("potentialMeme"):
            found.append(Problem("fileDetails/fileAnnotations/potentialMeme", only))
    return found


def _problems(element: Element, value: Any, path: str, filed: bool) -> Iterator[Problem]:
    content = element.content
    if not isinstance(content, tuple):
        if reason := content.problem(value):
            yield Problem(path, reason)
        return
    if not isinstance(value, Mapping):
        yield Problem(path, "it is not made of elements")
        return
    known = {child.name for child in content}
    for name in value:
        if name not in known:
            yield Problem(f"{path}/{name}", "the schema has no such element here")
    for child in content:
        at = f"{path}/{child.name}"
        if child.name not in value:
            if child.required and (filed or not child.assigned):
                yield Problem(at, "it is missing")
            continue
        if child.assigned and not filed:
            yield Problem(at, "NCMEC assigns it when the report is filed")
            continue
        if not child.many:
            yield from _problems(child, value[child.name], at, filed)
            continue
        if not isinstance(value[child.name], list | tuple):
            yield Problem(at, "it is not a list, though it may repeat")
            continue
        for number, one in enumerate(value[child.name], 1):
            yield from _problems(child, one, f"{at}[{number}]", filed)


def to_xml(element: Element, value: Any, *, filed: bool = False) -> bytes:
    """Return a document as XML, its elements in the order of the schema.

    Parameters
    ----------
    element : Element
        `REPORT` or `FILE_DETAILS`.
    value : mapping
        The document.
    filed : bool
        As for `problems`.

    Returns
    -------
    bytes
        UTF-8, with a declaration and a line end.

    Raises
    ------
    UsageError
        If something is wrong with it; the message names the first field.
    """
    wrong = problems(element, value, filed=filed)
    if wrong:
        raise UsageError(f"cannot write the {element.name}: {wrong[0]}")
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', *_lines(element, value, "")]
    return ("\n".join(lines) + "\n").encode()


def _lines(element: Element, value: Any, indent: str) -> Iterator[str]:
    content, name = element.content, element.name
    if not isinstance(content, tuple):
        if isinstance(content, Kind) and content.is_flag:
            if value:
                yield f"{indent}<{name}/>"
            return
        yield f"{indent}<{name}>{escape(_text(value))}</{name}>"
        return
    given = [child for child in content if child.name in value]
    attributes = "".join(
        f" {child.name[1:]}={quoteattr(_text(value[child.name]))}"
        for child in given
        if child.name.startswith("@")
    )
    if "$" in value:
        yield f"{indent}<{name}{attributes}>{escape(_text(value['$']))}</{name}>"
        return
    yield f"{indent}<{name}{attributes}>"
    for child in given:
        if not child.name.startswith("@"):
            for one in value[child.name] if child.many else [value[child.name]]:
                yield from _lines(child, one, indent + "  ")
    yield f"{indent}</{name}>"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def cleaned(value: Any) -> Any:
    """Return a document without what says nothing: None, empty text, lists and mappings."""
    if isinstance(value, Mapping):
        found = {name: cleaned(each) for name, each in value.items()}
        return {name: each for name, each in found.items() if _says_something(each)}
    if isinstance(value, list | tuple):
        return [each for each in map(cleaned, value) if _says_something(each)]
    return value


def _says_something(value: Any) -> bool:
    return value is not None and value not in ("", [], {})
