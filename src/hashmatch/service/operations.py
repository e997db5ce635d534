"""What can be asked of the service: method, path, what answers, and the scope that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from hashmatch.service import health, hma, hma_exchanges, v1
from hashmatch.service.tokens import Scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from hashmatch.service.http import Request, Response
    from hashmatch.service.lookups import HashLookup
    from hashmatch.service.missed import Picture
    from hashmatch.service.service import Service

Answer: TypeAlias = "Response | HashLookup | Awaitable[Response]"
Handler: TypeAlias = "Callable[[Service, Request], Answer]"
"""One that is no coroutine function never waits, unless the query has a ``url`` or the body is not
there."""
OWN = ("/v1", "/healthz", "/readyz", "/metrics", "/openapi.json")
"""What paths begin with that are not of Hasher-Matcher-Actioner's interface."""
Method: TypeAlias = Literal["GET", "POST", "PUT", "DELETE"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked for.

    Parameters
    ----------
    method, path : str
        Where.
    handler : callable
        What answers.
    scope : Scope, optional
        What a token has to be good for; None where anybody may ask.
    is_of_picture : bool
        Whether its body is a picture, always.
    noted : callable, optional
        Returns what a picture is noted by that there is no room for, given the query; None if that
        does not name it. Without, none is noted.
    """

    method: Method
    path: str
    handler: Handler
    scope: Scope | None
    is_of_picture: bool = False
    noted: Callable[[Mapping[str, str]], Picture | None] | None = None

    @property
    def is_hma(self) -> bool:
        """Whether it is of the other interface, and speaks of errors as that does."""
        return not self.path.startswith(OWN)


BANK = "/c/bank/{bank}"
CONTENT = "/c/bank/{bank}/content/{content}"
API = "/c/exchanges/api/{api}"
EXCHANGE = "/c/exchange/{exchange}"

OPERATIONS = (
    Operation("GET", "/healthz", health.healthz, None),
    Operation("GET", "/readyz", health.readyz, None),
    Operation("GET", "/metrics", health.metrics, Scope.ADMIN),
    Operation("GET", "/openapi.json", health.openapi, None),
    Operation("POST", "/v1/check", v1.check, Scope.MATCH, True, v1.named),
    Operation("POST", "/v1/match", v1.match, Scope.MATCH),
    Operation("POST", "/v1/explain", v1.explain, Scope.CURATE),
    Operation("GET", "/v1/lists", v1.lists, Scope.MATCH),
    Operation("GET", "/v1/snapshots", v1.snapshots, Scope.MATCH),
    Operation("GET", "/", hma.root, None),
    Operation("GET", "/site-map", hma.site_map, None),
    Operation("GET", "/openapi/openapi.json", health.openapi, None),
    Operation("GET", "/openapi/", hma.openapi_page, None),
    Operation("GET", "/status", hma.status, None),
    Operation("GET", "/status/live", hma.live, None),
    Operation("GET", "/h/hash", hma.hash_url, Scope.HASH),
    Operation("POST", "/h/hash", hma.hash_file, Scope.HASH, True),
    Operation("GET", "/m/raw_lookup", hma.raw_lookup, Scope.MATCH),
    Operation("GET", "/m/lookup", hma.lookup, Scope.MATCH),
    Operation("POST", "/m/lookup", hma.lookup_file, Scope.MATCH, True),
    Operation("POST", "/m/compare", hma.compare, Scope.MATCH),
    Operation("GET", "/m/index/status", hma.index_status, Scope.MATCH),
    Operation("GET", "/c/banks", hma.banks, Scope.CURATE),
    Operation("POST", "/c/banks", hma.create_bank, Scope.CURATE),
    Operation("GET", BANK, hma.bank, Scope.CURATE),
    Operation("PUT", BANK, hma.change_bank, Scope.CURATE),
    Operation("DELETE", BANK, hma.delete_bank, Scope.CURATE),
    Operation("POST", f"{BANK}/content", hma.add_content, Scope.CURATE),
    Operation("POST", f"{BANK}/signal", hma.add_signal, Scope.CURATE),
    Operation("GET", CONTENT, hma.content, Scope.CURATE),
    Operation("PUT", CONTENT, hma.change_content, Scope.CURATE),
    Operation("DELETE", CONTENT, hma.delete_content, Scope.CURATE),
    Operation("GET", "/c/signal_type", hma.types, Scope.CURATE),
    Operation("PUT", "/c/signal_type/{signal_type}", hma.change_type, Scope.CURATE),
    Operation("GET", "/c/signal_type/index", hma.signal_type_index, Scope.CURATE),
    Operation("GET", "/c/content_type", hma.content_types, Scope.CURATE),
    Operation("GET", "/c/exchanges/apis", hma_exchanges.apis, Scope.CURATE),
    Operation("GET", API, hma_exchanges.api, Scope.CURATE),
    Operation("POST", API, hma_exchanges.set_credentials, Scope.ADMIN),
    Operation("GET", f"{API}/schema", hma_exchanges.schema, Scope.CURATE),
    Operation("GET", "/c/exchanges", hma_exchanges.exchanges, Scope.CURATE),
    Operation("POST", "/c/exchanges", hma_exchanges.create_exchange, Scope.CURATE),
    Operation("GET", EXCHANGE, hma_exchanges.exchange, Scope.CURATE),
    Operation("PUT", EXCHANGE, hma_exchanges.change_exchange, Scope.CURATE),
    Operation("DELETE", EXCHANGE, hma_exchanges.delete_exchange, Scope.CURATE),
    Operation("GET", f"{EXCHANGE}/status", hma_exchanges.exchange_status, Scope.CURATE),
)
