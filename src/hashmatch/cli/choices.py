"""Options that take one of some words: a wrong one is answered with the nearest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.command import did_you_mean
from hashmatch.records.enums import Surface

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

STATES = "pending_review", "in_review", "confirmed", "not_a_match", "unsure", "escalated"
"""The values of `hashmatch.records.cases.CaseState`, which help does without loading."""


class Choice(click.Choice):  # type: ignore[type-arg]
    """One of some words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return `value`; a wrong one is an error that names the nearest."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            meant = did_you_mean(str(value), self.choices)
            raise click.BadParameter(error.message + meant, ctx, param) from None

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Return which words there are."""
        return f"Give one of {', '.join(self.choices)}."


class PluginName(click.ParamType):  # type: ignore[type-arg]
    """The name of an installed plug-in of one kind, ours or another package's."""

    name = "name"

    def __init__(self, group: str, kind: str) -> None:
        self._group, self._kind = group, kind

    def known(self) -> list[str]:
        """Return the names of those that are installed."""
        from hashmatch import registry

        return registry.names(self._group)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return `value`; a wrong one is an error that names the nearest."""
        if value not in self.known():
            meant = did_you_mean(value, self.known())
            self.fail(
                f"no {self._kind} {value!r} is installed.{meant} There are "
                f"{', '.join(self.known())}.",
                param,
                ctx,
            )
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the names that begin so."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(name) for name in self.known() if name.startswith(incomplete)]


ALGORITHM = PluginName("hashmatch.hashers", "algorithm")
LIST_FORMAT = PluginName("hashmatch.lists", "list format")
EXCHANGE_KIND = PluginName("hashmatch.exchanges", "kind of exchange")
SURFACE = Choice(list(map(str, Surface)))
STATE = Choice(STATES)
