"""Which exchanges are fetched, into which stores, and with which credentials: kept in a folder.

::

    EXCHANGES/                      0700
      hotline/                      an exchange, by its name
        exchange.json               what it is
        credentials.json            its own credentials, if it has any
        status.json                 how the last fetch went
        store/                      its list store, unless that is elsewhere
        fetch/                      pages of a fetch that is not in the store yet
        lock                        held while it is fetched, changed or removed
      credentials/ncmec.json        credentials of all exchanges of a kind without their own

All of it is readable by its owner only. Credentials are written, and read where an exchange is
fetched; nothing shows them.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn, TypeVar, cast

import msgspec

from hashmatch import registry
from hashmatch._files import atomic, private
from hashmatch._redact import unseen
from hashmatch.errors import ExchangeError, StoreError, UsageError
from hashmatch.records.typed import from_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from hashmatch.interfaces import Exchange, ExchangeField

T = TypeVar("T")

VARIABLE = "HASHMATCH_EXCHANGES"
"""The environment variable that names the folder."""
FOLDER = "exchanges"
"""The folder where none is named."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
CREDENTIALS = "credentials"
STORE = "store"
LOCK = "lock"
MOST = 1 << 20
"""Bytes of a file."""
LONGEST = 4096
"""Characters of a credential."""
PROBES = 5
PRINTABLE = re.compile(r"[ -~]+")
"""What a header of a request can hold."""


class ExchangeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An exchange that is fetched.

    Parameters
    ----------
    name : str
        What it is called: letters, digits, dots, underscores and hyphens.
    kind : str
        The plug-in that fetches it, such as ``ncmec``.
    store : str
        The folder of the list store that its list is kept in, as an absolute path.
    options : dict of str to str or int
        What the kind asks for.
    enabled : bool
        Whether it is fetched where none is named.
    credentials_file : str, optional
        A file with its credentials, which is read each time.
    credentials_variable : str, optional
        The environment variable with its credentials.
    """

    name: str
    kind: str
    store: str
    options: dict[str, str | int] = {}
    enabled: bool = True
    credentials_file: str | None = None
    credentials_variable: str | None = None


class ExchangeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How the fetches of an exchange went.

    Parameters
    ----------
    started : datetime, optional
        When the last one began, UTC.
    completed : datetime, optional
        When the last one that succeeded ended.
    succeeded : bool
        Whether the last one that ended did.
    problem : str
        Why it did not; it has no credential and no hash in it.
    pages : int
        Pages of the last one that succeeded.
    is_running : bool
        Whether one has begun and not ended, unless it was killed.
    """

    started: datetime | None = None
    completed: datetime | None = None
    succeeded: bool = False
    problem: str = ""
    pages: int = 0
    is_running: bool = False


class Exchanges:
    """The exchanges of a folder; safe to use from several processes.

    Parameters
    ----------
    folder : str or path
        Where they are kept; made with the first one, for its owner only.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     exchanges = Exchanges(f"{folder}/exchanges")
    ...     made = exchanges.add("hotline", "url", {"url": "https://hotline.example/list.csv"})
    ...     exchanges.names(), exchanges.get("hotline").kind
    (('hotline',), 'url')
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = os.path.abspath(os.fspath(folder))

    def __repr__(self) -> str:
        return f"<Exchanges in {self.folder}>"

    def names(self) -> tuple[str, ...]:
        """Return the names of all exchanges, sorted."""
        try:
            found = os.listdir(self.folder)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StoreError(
                f"cannot read {self.folder}: {error.strerror}. Give another folder."
            ) from None
        return tuple(sorted(n for n in found if os.path.isfile(self._inside(n, "exchange.json"))))

    def all(self) -> list[ExchangeConfig]:
        """Return all exchanges, by name; one that is removed meanwhile is none of them."""
        found = []
        for name in self.names():
            with suppress(ExchangeError):
                found.append(self.get(name))
        return found

    def get(self, name: str) -> ExchangeConfig:
        """Return an exchange.

        Parameters
        ----------
        name : str
            What it is called.

        Raises
        ------
        ExchangeError
            If there is none of that name.
        StoreError
            If what is kept of it cannot be used.
        """
        config = None
        if NAME.fullmatch(name):
            config = self._read(self._inside(name, "exchange.json"), ExchangeConfig)
        if config is None:
            there = ", ".join(self.names()) or "none"
            raise ExchangeError(
                f"cannot find exchange {name!r} in {self.folder}: there is {there}. Add it with "
                "hashmatch list exchange add."
            )
        return config

    def add(
        self,
        name: str,
        kind: str,
        options: Mapping[str, object] | None = None,
        *,
        store: str | os.PathLike[str] | None = None,
        credentials_file: str | None = None,
        credentials_variable: str | None = None,
        enabled: bool = True,
        over_http: bool = False,
    ) -> ExchangeConfig:
        """Add an exchange; nothing is fetched yet.

        Parameters
        ----------
        name : str
            What it is to be called.
        kind : str
            Which plug-in fetches it.
        options : mapping of str to object
            What the kind asks for.
        store : path, optional
            The folder of its list store; by default in the folder of the exchange.
        credentials_file, credentials_variable : str, optional
            Where its credentials are, if not where `set_credentials` puts them.
        enabled : bool
            Whether it is fetched where none is named.
        over_http : bool
            Whether somebody adds it who may not choose which server is asked.

        Raises
        ------
        UsageError
            If there is one of that name, or its options cannot be used.
        """
        if not NAME.fullmatch(name) or name in {CREDENTIALS, LOCK}:
            raise UsageError(
                f"cannot name an exchange {name!r}: use up to 64 letters, digits, dots, "
                f"underscores and hyphens, beginning with a letter or digit, and not {CREDENTIALS} "
                f"or {LOCK}."
            )
        checked = check_options(kind, options or {}, over_http=over_http)
        if credentials_file is not None and credentials_variable is not None:
            raise UsageError(
                "cannot take credentials from a file and from a variable. Give one of the two."
            )
        place = self._inside(name, STORE)
        if store is not None:
            place = os.path.abspath(os.fspath(store))
            if not os.path.isdir(os.path.dirname(place)):
                raise UsageError(
                    f"cannot use the store {place}: there is no folder {os.path.dirname(place)}. "
                    "Make it first"
                )
        config = ExchangeConfig(
            name=name,
            kind=kind,
            store=place,
            options=checked,
            enabled=enabled,
            credentials_file=credentials_file and os.path.abspath(credentials_file),
            credentials_variable=credentials_variable,
        )
        atomic.make_folder(self.folder)
        with atomic.locked(self._inside(LOCK)):
            for other in self.all():
                if other.name == name:
                    raise UsageError(
                        f"cannot add exchange {name}: it already exists. Remove it, or use another "
                        "name."
                    )
                if os.path.realpath(other.store) == os.path.realpath(config.store):
                    raise UsageError(
                        f"cannot add exchange {name}: {config.store} is the store of {other.name}. "
                        "Give each a store of its own."
                    )
            atomic.make_folder(self._inside(name))
            self._write(self._inside(name, "exchange.json"), config)
        return config

    def change(self, name: str, *, enabled: bool) -> ExchangeConfig:
        """Have an exchange fetched where none is named, or no longer; return it as it is then.

        Parameters
        ----------
        name : str
            What it is called.
        enabled : bool
            Whether it is.
        """
        self.get(name)  # no lock is made where there is none
        with atomic.locked(self._inside(LOCK)):
            config = msgspec.structs.replace(self.get(name), enabled=enabled)
            self._write(self._inside(name, "exchange.json"), config)
        return config

    def remove(self, name: str) -> bool:
        """Remove an exchange with its credentials, and its store if that is in its folder.

        Parameters
        ----------
        name : str
            What it is called.

        Returns
        -------
        bool
            Whether there was one.

        Raises
        ------
        StoreError
            If it is being fetched.
        """
        if name not in self.names():
            return False
        with atomic.locked(self._inside(LOCK)), self.working(name):
            # It is gone with this file; the rest is what a removal that is cut off leaves.
            os.unlink(self._inside(name, "exchange.json"))
            shutil.rmtree(self._inside(name), ignore_errors=True)
        return True

    @contextmanager
    def working(self, name: str) -> Iterator[None]:
        """Keep others from fetching or removing an exchange; StoreError if somebody is at it.

        Parameters
        ----------
        name : str
            What it is called.
        """
        busy = f"cannot use exchange {name}: it is being fetched. Try again when that is done."
        with ExitStack() as stack:
            for tries_left in reversed(range(PROBES)):  # somebody may only ask whether it is
                try:
                    stack.enter_context(atomic.locked(self._inside(name, LOCK), busy))
                    break
                except StoreError:
                    if not tries_left:
                        raise
                    time.sleep(0.02)
            yield

    # Credentials

    def credentials(self, config: ExchangeConfig) -> dict[str, str]:
        """Return the credentials of an exchange: its own, else those of its kind.

        Parameters
        ----------
        config : ExchangeConfig
            Which exchange.

        Raises
        ------
        ExchangeError
            If there are none, and the kind needs some.
        UsageError
            If they lack something, or have what cannot be sent.
        """
        fields = credential_fields(config.kind)
        given = self._own(config) or self._kept(self._of_kind(config.kind), fields)
        if given is None:
            if any(field.required for field in fields):
                raise ExchangeError(
                    f"cannot fetch {config.name}: it has no credentials. Set them with hashmatch "
                    "list exchange credentials."
                )
            return {}
        return check_credentials(given, fields)

    def set_credentials(
        self, given: Mapping[str, object] | None, *, name: str | None = None, kind: str = ""
    ) -> None:
        """Keep the credentials of an exchange, or of all of a kind that have none of their own.

        Parameters
        ----------
        given : mapping of str to str, optional
            By the names of the kind's fields; None removes them.
        name : str, optional
            Of the exchange.
        kind : str
            Of exchanges, without a name.
        """
        if name is not None:
            path, kind = self._inside(name, "credentials.json"), self.get(name).kind
        else:
            path = self._of_kind(kind)
        fields = credential_fields(kind)
        if given is None:
            with suppress(FileNotFoundError):
                os.unlink(path)
            return
        checked = check_credentials(given, fields)
        atomic.make_folder(self.folder)
        atomic.make_folder(os.path.dirname(path))
        self._write(path, checked)

    def has_credentials(self, *, name: str | None = None, kind: str = "") -> bool:
        """Return whether an exchange, or without a name a kind, has credentials.

        Parameters
        ----------
        name : str, optional
            Of the exchange.
        kind : str
            Of exchanges, without a name.
        """
        if name is None:
            return os.path.lexists(self._of_kind(kind))
        config = self.get(name)
        named = config.credentials_file or config.credentials_variable
        own = os.path.lexists(self._inside(name, "credentials.json"))
        return bool(named) or own or self.has_credentials(kind=config.kind)

    def _own(self, config: ExchangeConfig) -> dict[str, object] | None:
        fields = credential_fields(config.kind)
        if config.credentials_variable is not None:
            text = os.environb.get(config.credentials_variable.encode())
            if text is None:
                raise ExchangeError(
                    f"cannot fetch {config.name}: the environment has no "
                    f"{config.credentials_variable}. Set it to the credentials."
                )
            return parse_credentials(text, fields, config.credentials_variable)
        path = config.credentials_file
        if path is not None:
            return parse_credentials(private.read(path, MOST, follow=True), fields, path)
        return self._kept(self._inside(config.name, "credentials.json"), fields)

    def _kept(self, path: str, fields: Sequence[ExchangeField]) -> dict[str, object] | None:
        if not os.path.lexists(path):
            return None
        return parse_credentials(private.read(path, MOST), fields, path)

    def _of_kind(self, kind: str) -> str:
        credential_fields(kind)  # so that no path is made of what is no kind
        return self._inside(CREDENTIALS, f"{kind}.json")

    # Fetching

    def open(self, config: ExchangeConfig, allow_private: Collection[str] = ()) -> Exchange:
        """Return what fetches an exchange.

        Parameters
        ----------
        config : ExchangeConfig
            Which.
        allow_private : collection of str
            Hosts and networks that may be asked though they are not public.
        """
        options = check_options(config.kind, config.options)
        made = registry.load(registry.EXCHANGES, config.kind)
        return cast("Exchange", made(options, self.credentials(config), allow_private))

    def spool(self, name: str) -> str:
        """Return the folder of the pages of an exchange that are not in its store yet.

        Parameters
        ----------
        name : str
            What it is called.
        """
        return self._inside(name, "fetch")

    def status(self, name: str) -> ExchangeStatus:
        """Return how the fetches of an exchange went.

        Parameters
        ----------
        name : str
            What it is called.
        """
        found = self._read(self._inside(name, "status.json"), ExchangeStatus)
        return ExchangeStatus() if found is None else found

    def note(self, name: str, status: ExchangeStatus) -> None:
        """Keep how a fetch of an exchange went.

        Parameters
        ----------
        name : str
            What it is called.
        status : ExchangeStatus
            How it went.
        """
        self._write(self._inside(name, "status.json"), status)

    def is_fetched_now(self, name: str) -> bool:
        """Return whether somebody fetches an exchange right now.

        Parameters
        ----------
        name : str
            What it is called.
        """
        status = self.status(name)
        if not status.is_running:
            return False
        try:
            with self.working(name):
                return False  # it was killed
        except StoreError:
            return True

    def _inside(self, *names: str) -> str:
        return os.path.join(self.folder, *names)

    @staticmethod
    @unseen
    def _read(path: str, kind: type[T]) -> T | None:
        """Return what a file says; None if there is none, StoreError if it cannot be used."""
        if not os.path.lexists(path):
            return None
        data = private.read(path, MOST)
        try:
            return from_json(data, kind)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            raise StoreError(
                f"cannot use {path}: it is damaged, or not what belongs there. Restore or remove it"
            ) from None

    @staticmethod
    def _write(path: str, value: object) -> None:
        atomic.write(path, msgspec.json.format(msgspec.json.encode(value)) + b"\n")


def now() -> datetime:
    """Return the time, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


def option_fields(kind: str) -> tuple[ExchangeField, ...]:
    """Return what a kind of exchange asks for; UnknownPlugin if there is none of that name."""
    return tuple(registry.load(registry.EXCHANGES, kind).options)


def credential_fields(kind: str) -> tuple[ExchangeField, ...]:
    """Return the credentials of a kind of exchange; UnknownPlugin if there is none of that name."""
    return tuple(registry.load(registry.EXCHANGES, kind).credentials)


def check_options(
    kind: str, given: Mapping[str, object], *, over_http: bool = False
) -> dict[str, str | int]:
    """Return the options of an exchange, with defaults; UsageError if they cannot be used."""
    fields = [f for f in option_fields(kind) if f.over_http or not over_http]
    _check_names(given, fields, "options")
    found: dict[str, str | int] = {}
    for field in fields:
        value = given.get(field.name, field.default)
        if value is None and not field.required:
            continue
        found[field.name] = _option(field, value)
    return found


def _option(field: ExchangeField, value: object) -> str | int:
    name = field.name
    if value is None or value == "":
        raise UsageError(
            f"cannot use the option {name}: it is missing. Give {name}=VALUE: {field.help}"
        )
    if field.type == "number":
        text = str(value)
        if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII):
            raise UsageError(f"cannot use the option {name}: it is no whole number. Give one")
        return int(text)
    if not isinstance(value, str) or len(value) > LONGEST or not value.isprintable():
        raise UsageError(f"cannot use the option {name}: it is no line of text. Give one")
    if field.choices and value not in field.choices:
        known = ", ".join(field.choices)
        raise UsageError(f"cannot use the option {name}: it is no choice. Give one of {known}")
    return value


def _check_names(given: Mapping[str, object], fields: Sequence[ExchangeField], what: str) -> None:
    names = [field.name for field in fields]
    if not given.keys() <= set(names):  # whose others may hold anything
        known = ", ".join(names) or "none"
        raise UsageError(f"cannot use the {what}: one of them is not known. Give some of {known}")


@unseen
def check_credentials(
    given: Mapping[str, object], fields: Sequence[ExchangeField]
) -> dict[str, str]:
    """Return credentials; UsageError, which shows none of them, if they cannot be used."""
    _check_names(given, fields, "credentials")
    found = {}
    for field in fields:
        value = given.get(field.name)
        if value is None or value == "":
            if field.required:
                raise UsageError(f"cannot use the credentials: {field.name} is missing. Give it")
            continue
        is_text = isinstance(value, str) and len(value) <= LONGEST
        if not is_text or not PRINTABLE.fullmatch(str(value)):
            raise UsageError(
                f"cannot use the credentials: {field.name} is no line of ASCII text. Check it"
            )
        found[field.name] = str(value)
    return found


@unseen
def parse_credentials(
    text: bytes, fields: Sequence[ExchangeField], place: str
) -> dict[str, object]:
    """Return credentials that are written as JSON or, where there is one only, just so.

    Parameters
    ----------
    text : bytes
        What was read.
    fields : sequence of ExchangeField
        Which there are.
    place : str
        Where it was read, for messages.

    Raises
    ------
    UsageError
        If it is neither.
    """
    text = text.strip()
    if not text.startswith(b"{") and len(fields) == 1 and text.isascii():
        return {fields[0].name: text.decode()}
    try:
        given = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        given = None
    if not isinstance(given, dict):
        _refuse_credentials(fields, place)
    return given


def _refuse_credentials(fields: Sequence[ExchangeField], place: str) -> NoReturn:
    shape = ", ".join(f'"{field.name}": "..."' for field in fields)
    raise UsageError(f"cannot read the credentials in {place}: they are no JSON. Write {{{shape}}}")


def shown_options(config: ExchangeConfig) -> dict[str, str | int]:
    """Return the options of an exchange as people may see them: addresses without their queries."""
    return {
        name: value.partition("?")[0] + "?..." if isinstance(value, str) and "?" in value else value
        for name, value in config.options.items()
    }
