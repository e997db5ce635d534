"""What only the platform knows: the account, its addresses, and when files came. A file of JSON.

The schema is ``hashmatch.account/1``, and ``docs/drafts.md`` describes each field. The data is
personal: it is read from a file that its owner only can read, goes into the folder of a draft, and
nowhere else; no error and no event has any of it.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from hashmatch._files import private
from hashmatch._redact import unseen
from hashmatch.errors import UsageError
from hashmatch.records.typed import from_json

if TYPE_CHECKING:
    import os

SCHEMA = "hashmatch.account/1"
LARGEST = 16 * 2**20
"""Bytes of the file."""
PAGE = "docs/drafts.md"
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with a zone: without one nobody knows when it was."""


class _Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An object of the file; nothing of it is shown."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class Email(_Struct, frozen=True):
    """An e-mail address, and whether the platform has verified it."""

    address: str
    type: str | None = None
    verified: bool | None = None
    verified_at: Moment | None = None


class Phone(_Struct, frozen=True):
    """A phone number; `calling_code` is that of its country, as ``+1``."""

    number: str
    type: str | None = None
    calling_code: str | None = None
    extension: str | None = None
    verified: bool | None = None
    verified_at: Moment | None = None


class PostalAddress(_Struct, frozen=True):
    """A postal address; `country` has two letters (ISO 3166)."""

    address: str | None = None
    city: str | None = None
    zip_code: str | None = None
    state: str | None = None
    region: str | None = None
    country: str | None = None
    type: str | None = None


class IpEvent(_Struct, frozen=True):
    """An IP address that was used, with its port, and for what, when."""

    address: str
    event: str | None = None
    at: Moment | None = None
    port: int | None = None
    possible_proxy: bool | None = None


class Device(_Struct, frozen=True):
    """An identifier of a device; `type` says which, as ``IMEI``."""

    type: str
    value: str
    event: str | None = None
    at: Moment | None = None


class Location(_Struct, frozen=True):
    """Where the account is thought to be; `country` has two letters (ISO 3166)."""

    country: str
    city: str | None = None
    region: str | None = None
    verified: bool | None = None
    at: Moment | None = None


class Person(_Struct, frozen=True):
    """A person, as far as the platform knows."""

    first_name: str | None = None
    last_name: str | None = None
    emails: tuple[Email, ...] = ()
    phones: tuple[Phone, ...] = ()
    addresses: tuple[PostalAddress, ...] = ()
    age: int | None = None
    date_of_birth: date | None = None


class Account(_Struct, frozen=True):
    """The account that is reported."""

    identifier: str
    service: str | None = None
    person: Person = Person()
    screen_name: str | None = None
    display_names: tuple[str, ...] = ()
    profile_urls: tuple[str, ...] = ()
    bio: str | None = None
    ip_events: tuple[IpEvent, ...] = ()
    devices: tuple[Device, ...] = ()
    location: Location | None = None
    prior_reports: tuple[int, ...] = ()
    compromised: bool | None = None
    third_party: bool | None = None
    group: str | None = None
    all_emails_reported: bool | None = None
    connections: tuple[str, ...] = ()
    additional_info: str | None = None


class FileHash(_Struct, frozen=True):
    """A hash of the file as it was uploaded, that the platform made: ``MD5``, ``SHA1``."""

    type: str
    value: str


class Upload(_Struct, frozen=True):
    """How a file came; `key` is its key in the source that was scanned."""

    key: str
    at: Moment | None = None
    file_name: str | None = None
    url: str | None = None
    public: bool | None = None
    ip: IpEvent | None = None
    devices: tuple[Device, ...] = ()
    hashes: tuple[FileHash, ...] = ()
    additional_info: str | None = None


class Incident(_Struct, frozen=True):
    """When it happened, and what is to be said of it in a person's words."""

    at: Moment
    description: str | None = None
    platform: str | None = None
    escalate: str | None = None
    urls: tuple[str, ...] = ()
    additional_info: str | None = None


class Reporter(_Struct, frozen=True):
    """Who reports: a person of the platform, whom to ask, and its terms."""

    person: Person
    contact: Person | None = None
    company: str | None = None
    terms: str | None = None
    legal_url: str | None = None


class AccountFile(_Struct, frozen=True):
    """All of the file."""

    schema: Literal["hashmatch.account/1"]
    incident: Incident
    reporter: Reporter
    account: Account | None = None
    uploads: tuple[Upload, ...] = ()

    def upload(self, key: str) -> Upload | None:
        """Return how a file came; None if nothing says so.

        Parameters
        ----------
        key : str
            Of the file, in the source that was scanned.
        """
        return next((each for each in self.uploads if each.key == key), None)


@unseen
def read_account(path: str | os.PathLike[str]) -> AccountFile:
    """Read what the platform knows about an account.

    Parameters
    ----------
    path : path
        JSON of schema ``hashmatch.account/1``, readable by its owner only.

    Returns
    -------
    AccountFile
        It shows nothing of itself.

    Raises
    ------
    StoreError
        If it is not there, or others can read it.
    UsageError
        If it is something else; the message names the field, and not what it says.
    """
    data = private.read(str(path), LARGEST, follow=True)
    problem = ""
    try:
        found = from_json(data, AccountFile)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        problem = "it is no JSON" if type(error) is not msgspec.ValidationError else str(error)
    if problem:
        raise UsageError(
            f"cannot read {path}: {problem}. Write it as {PAGE} shows for schema {SCHEMA}."
        )
    return found
