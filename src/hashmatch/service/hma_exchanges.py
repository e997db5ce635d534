"""``/c/exchanges`` of Hasher-Matcher-Actioner: the exchanges that ``hashmatch list fetch`` fetches.

They are added, switched and removed here, and fetched elsewhere. The caller who adds one does not
choose the server that is asked, since it is sent the credentials; those are written, never read.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from hashmatch import registry
from hashmatch.errors import ExchangeError, StoreError, UsageError
from hashmatch.exchanges.config import credential_fields, option_fields, shown_options
from hashmatch.service.banks import NAME, BankError
from hashmatch.service.hma import caller, kept_banks, object_body, shown_text
from hashmatch.service.http import HttpError, Response, as_json, flag
from hashmatch.store.layout import Folder
from hashmatch.store.manifest import FetchedFrom

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hashmatch.exchanges.config import ExchangeConfig, Exchanges
    from hashmatch.interfaces import ExchangeField
    from hashmatch.service.http import Request
    from hashmatch.service.service import Service
    from hashmatch.store.manifest import Manifest

APIS = {"fb_threatexchange": "threatexchange", "stop_ncii": "stopncii"}
"""Names of theirs for kinds of ours; others are called alike."""
IMPLIED = {"name", "api", "enabled"}
"""What an exchange has besides the options of its kind."""
SECONDS = re.compile(r"[0-9]{1,15}")


def kind_of(api: str) -> str:
    """Return our name of a kind of exchange."""
    return APIS.get(api, api)


def api_of(kind: str) -> str:
    """Return their name of a kind of exchange."""
    return next((theirs for theirs, ours in APIS.items() if ours == kind), kind)


def kinds() -> list[str]:
    """Return the kinds of exchange that can be added over HTTP."""
    return [
        kind
        for kind in registry.names(registry.EXCHANGES)
        if all(field.over_http or not field.required for field in option_fields(kind))
    ]


def _exchanges(service: Service) -> Exchanges:
    if service.exchanges is None:
        raise HttpError(
            403, "cannot use exchanges: the service has no folder for them. Give --data."
        )
    return service.exchanges


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        raise HttpError(400, str(error)) from None
    except BankError as error:
        raise HttpError(403, str(error)) from None
    except StoreError as error:
        raise HttpError(503, str(error), retry=True, retry_after=1) from None


def _found(service: Service, request: Request) -> ExchangeConfig:
    name = request.path["exchange"]
    exchanges = _exchanges(service)
    with _errors():
        try:
            return exchanges.get(name)
        except ExchangeError:
            raise HttpError(404, f"Exchange '{shown_text(name)}' not found") from None


def _kind(request: Request, status: int) -> str:
    api = request.path["api"]
    kind = kind_of(api)
    if kind not in kinds() or api != api_of(kind):
        raise HttpError(status, f"no such Exchange API '{shown_text(api)}'")
    return kind


async def apis(service: Service, request: Request) -> Response:
    """``GET /c/exchanges/apis``: the kinds of exchange."""
    _exchanges(service)
    return as_json([api_of(kind) for kind in kinds()])


async def api(service: Service, request: Request) -> Response:
    """``GET /c/exchanges/api/A``: whether a kind of exchange needs credentials, and has them."""
    return _api(_exchanges(service), _kind(request, 400))


def _api(exchanges: Exchanges, kind: str) -> Response:
    return as_json(
        {
            "has_set_authentification": exchanges.has_credentials(kind=kind),
            "supports_authentification": bool(credential_fields(kind)),
        },
        ordered=True,
    )


async def set_credentials(service: Service, request: Request) -> Response:
    """``POST /c/exchanges/api/A``: set the credentials of a kind of exchange, or clear them."""
    exchanges, kind = _exchanges(service), _kind(request, 400)
    given = (await object_body(request)).get("credential_json")
    if given is not None:
        if not isinstance(given, dict):
            raise HttpError(400, "cannot set credentials: credential_json is no object.")
        banks, asks = kept_banks(service), caller(request)
        with _errors():
            await service.in_thread(lambda: exchanges.set_credentials(given or None, kind=kind))
            await service.in_thread(
                lambda: banks.note(asks, "set_credentials" if given else "clear_credentials", kind)
            )
    return _api(exchanges, kind)


async def schema(service: Service, request: Request) -> Response:
    """``GET /c/exchanges/api/A/schema``: the options and the credentials of a kind of exchange."""
    _exchanges(service)
    kind = _kind(request, 404)
    credentials = credential_fields(kind)
    return as_json(
        {
            "config_schema": {"fields": _described(option_fields(kind))},
            "credentials_schema": {"fields": _described(credentials)} if credentials else None,
        }
    )


def _described(fields: Sequence[ExchangeField]) -> list[dict[str, object]]:
    return [
        {
            "name": field.name,
            "type": field.type,
            "required": field.required,
            "default": field.default,
            "help": field.help,
            "choices": list(field.choices) or None,
        }
        for field in fields
        if field.over_http
    ]


async def exchanges(service: Service, request: Request) -> Response:
    """``GET /c/exchanges``: the names of all exchanges."""
    with _errors():
        return as_json(list(_exchanges(service).names()))


async def create_exchange(service: Service, request: Request) -> Response:
    """``POST /c/exchanges``: a new exchange, and the bank of its list."""
    found, banks = _exchanges(service), kept_banks(service)
    given = await object_body(request)
    name, options, theirs = given.get("bank"), given.get("api_json", {}), given.get("api")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise HttpError(400, "Field `bank` must match /^[A-Z0-9_]$/")
    if not isinstance(options, dict):
        raise HttpError(400, "Field `api_json` must be object")
    if theirs is None:
        raise HttpError(400, "Field `api_type` is required")
    if not isinstance(theirs, str) or theirs not in map(api_of, kinds()):
        raise HttpError(400, f"No such exchange type '{shown_text(str(theirs))}'")
    enabled = _enabled(options, default=True)
    own = {
        key: value
        for key, value in options.items()
        if key not in IMPLIED and value not in (None, "", [])
    }
    snapshot, asks = service.snapshot(), caller(request)

    def create() -> None:
        if name in found.names():
            raise HttpError(403, "Exchange already exists")
        banks.check_free(name, served=snapshot.bank_of.values())
        try:
            found.add(name, kind_of(theirs), own, enabled=enabled, over_http=True)
        except UsageError as error:
            if "already exists" in str(error):  # since we looked
                raise HttpError(403, "Exchange already exists") from None
            raise HttpError(400, f"Failed to parse `api_json`: {error}") from None
        banks.add_list(name)
        banks.note(asks, "create_exchange", name)

    with _errors():
        await service.in_thread(create)
    return as_json({"message": "Created successfully"}, 201)


def _enabled(given: dict[str, Any], *, default: bool) -> bool:
    try:
        value = given.get("enabled")
        return default if value is None else flag(str(value))
    except ValueError:
        raise HttpError(400, "cannot set enabled: it is true or false.") from None


async def exchange(service: Service, request: Request) -> Response:
    """``GET /c/exchange/N``: one exchange, without its credentials."""
    return _shown(_found(service, request))


def _shown(config: ExchangeConfig) -> Response:
    """Return an exchange as it is answered: its name first, and not in order."""
    shown = {
        "name": config.name,
        "api": api_of(config.kind),
        "enabled": config.enabled,
        **shown_options(config),
    }
    return Response(msgspec.json.format(msgspec.json.encode(shown), indent=2))


async def change_exchange(service: Service, request: Request) -> Response:
    """``PUT /c/exchange/N``: whether it is fetched."""
    config, banks = _found(service, request), kept_banks(service)
    found = _exchanges(service)
    enabled = _enabled(await object_body(request), default=config.enabled)
    asks = caller(request)

    def change() -> ExchangeConfig:
        changed = found.change(config.name, enabled=enabled)
        banks.note(asks, "enable_exchange" if enabled else "disable_exchange", config.name)
        return changed

    with _errors():
        return _shown(await service.in_thread(change))


async def delete_exchange(service: Service, request: Request) -> Response:
    """``DELETE /c/exchange/N``: an exchange with its bank; a list kept elsewhere stays there."""
    found, banks = _exchanges(service), kept_banks(service)
    name, asks = request.path["exchange"], caller(request)

    def remove() -> None:
        if found.remove(name):
            service.snapshots.follow()
            banks.remove_list(name)
            banks.note(asks, "delete_exchange", name)

    with _errors():
        await service.in_thread(remove)
    return as_json({"message": "Exchange deleted"})


async def exchange_status(service: Service, request: Request) -> Response:
    """``GET /c/exchange/N/status``: how its last fetch went, and what there is of its list."""
    config = _found(service, request)
    found = _exchanges(service)

    def read() -> dict[str, object]:
        status, manifest = found.status(config.name), _manifest(config)
        fetched = manifest.fetched if manifest else None
        at = SECONDS.match(fetched.checkpoint) if isinstance(fetched, FetchedFrom) else None
        running = found.is_fetched_now(config.name)
        return {
            "checkpoint_ts": int(at[0]) if at else None,
            "fetched_items": _entries(manifest),
            "last_fetch_complete_ts": status.completed and int(status.completed.timestamp()),
            "last_fetch_succeeded": status.succeeded
            if status.completed or status.problem
            else None,
            "running_fetch_start_ts": (
                int(status.started.timestamp()) if running and status.started else None
            ),
            "up_to_date": status.succeeded,
        }

    with _errors():
        return as_json(await service.in_thread(read), ordered=True)


def _manifest(config: ExchangeConfig) -> Manifest | None:
    """Return what the latest version of a list says of itself; None if there is none as yet."""
    folder = Folder(config.store)
    if not os.path.isdir(folder.inside("versions")):
        return None
    versions = folder.versions()
    return folder.manifest(versions[0])[1] if versions else None


def _entries(manifest: Manifest | None) -> int:
    counts = manifest.counts.values() if manifest else ()
    return sum(each.get("entries", 0) for each in counts)
