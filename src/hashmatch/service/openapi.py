"""The description of the service, OpenAPI 3.1: of the operations, and the structures of ``/v1``."""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

import msgspec

from hashmatch.records import VERSION
from hashmatch.records.enums import Surface
from hashmatch.service import v1

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hashmatch.service.operations import Operation

STRUCTURES = (
    v1.Checked, v1.HashQuery, v1.Looked, v1.Explained, v1.ListsInUse, v1.SnapshotsInUse, v1.Problem,
)  # fmt: skip
_REF = "#/components/schemas/{name}"
PICTURE = {"image/*": {"schema": {"type": "string", "format": "binary"}}}
FORM = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "properties": {
                "image": {"type": "string", "format": "binary"},
                "surface": {"type": "string", "enum": [*Surface]},
                "item_id": {"type": "string"},
            },
            "required": ["image"],
        }
    }
}


def _query(name: str, text: str, **schema: Any) -> dict[str, Any]:
    schema = {"type": "string", **schema}
    return {"name": name, "in": "query", "description": text, "schema": schema}


_PICTURE_QUERY = [
    _query("surface", "Where it was published.", enum=[*Surface]),
    _query("item_id", "What the record calls it."),
    _query("version", "Changes when the content does; by default a digest of it."),
    _query("url", "Instead of a body: an address below one of the prefixes that are fetched from."),
]
_NDJSON = "application/x-ndjson"


def _ref(kind: type) -> dict[str, Any]:
    return {"$ref": _REF.format(name=kind.__name__)}


def _json(kind: type) -> dict[str, Any]:
    return {"application/json": {"schema": _ref(kind)}}


_BODIES: dict[str, dict[str, Any]] = {
    "/v1/check": {**PICTURE, **FORM},
    "/v1/match": {**_json(v1.HashQuery), _NDJSON: {"schema": _ref(v1.HashQuery)}},
    "/v1/explain": {**PICTURE, **_json(v1.HashQuery)},
}
_ANSWERS: dict[str, dict[str, Any]] = {
    "/v1/check": _json(v1.Checked),
    "/v1/match": {
        **_json(v1.Looked),
        _NDJSON: {"schema": _ref(v1.Looked)},
    },
    "/v1/explain": _json(v1.Explained),
    "/v1/lists": _json(v1.ListsInUse),
    "/v1/snapshots": _json(v1.SnapshotsInUse),
}
_QUERIES: dict[str, list[dict[str, Any]]] = {
    "/v1/check": _PICTURE_QUERY,
    "/v1/explain": [
        _query("nearest", "How many entries of each list.", type="integer", default=5),
        _query("max_distance", "Bits beyond which nothing is near.", type="integer"),
    ],
}


def describe(operations: Iterable[Operation]) -> bytes:
    """Return the description as JSON."""
    _, schemas = msgspec.json.schema_components(STRUCTURES, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        path = each.path
        lines = cleandoc(each.handler.__doc__ or "").partition("\n")
        found: dict[str, Any] = {
            "summary": lines[0].removesuffix("."),
            "description": lines[2].strip(),
            "operationId": each.handler.__name__ + ("_hma" if each.is_hma else ""),
            "parameters": [
                *(
                    {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                    for name in re.findall(r"{(\w+)}", path)
                ),
                *_QUERIES.get(path, []),
            ],
            "responses": {
                "200": {"description": "The answer.", "content": _ANSWERS.get(path, {})},
                "default": {"description": "Why there is none.", "content": _json(v1.Problem)},
            },
            "tags": ["Hasher-Matcher-Actioner" if each.is_hma else "hashmatch"],
        }
        if path in _BODIES and each.method == "POST":
            found["requestBody"] = {"content": _BODIES[path]}
        if each.scope is not None:
            found["security"] = [{"token": []}]
            found["description"] += f"\n\nNeeds the scope {each.scope}."
        paths.setdefault(path, {})[each.method.lower()] = found
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "hashmatch", "version": VERSION},
            "paths": paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
        }
    )
