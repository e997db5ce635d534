"""Commands, groups and options: help in sections, examples, and what a misspelt word may mean."""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    AnyCommand = Callable[..., Any]

OPTIONS = "Options"
"""The section of options that belong to no other."""
SAFEGUARDS = "Safeguards"
"""The section of options that let a command run with less protection; it is the last."""
EXAMPLES = "\n\n\b\n"
"""What a command's examples begin with in its docstring: click keeps the lines of such a block."""
RENAMED = {
    "review accept": "review benign accept",
    "review benign propose": "review benign list",
    "review disabled": "review entry list",
    "review entry disabled": "review entry list",
    "review list": "review case list",
    "review look-again": "review case reopen",
    "review case look-again": "review case reopen",
    "review propose": "review benign list",
    "review reviewers": "review reviewer list",
    "review teach": "review precision",
}
"""Names that commands had before, where another command's name would be taken for them."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the question that names the nearest of some known words; empty if none is near.

    Examples
    --------
    >>> did_you_mean("confrimed", ["confirmed", "unsure"])
    ' Did you mean confirmed?'
    """
    near = get_close_matches(word, list(known), n=1)
    return f" Did you mean {near[0]}?" if near else ""


class Option(click.Option):
    """An option that stands in a section of the help; names of plug-ins are put into its text."""

    def __init__(self, *names: Any, section: str = OPTIONS, **how: Any) -> None:
        super().__init__(*names, **how)
        self.section = section

    @property
    def help(self) -> str | None:
        """What the option does."""
        return None if self._help is None else with_plugins(self._help)

    @help.setter
    def help(self, text: str | None) -> None:
        self._help = text


def option(*names: str, **how: Any) -> Callable[[AnyCommand], AnyCommand]:
    """Return the decorator that adds an `Option`; as `click.option`."""
    return click.option(*names, cls=Option, **how)


def section(
    title: str, *options: Callable[[AnyCommand], AnyCommand]
) -> Callable[[AnyCommand], AnyCommand]:
    """Return what adds options to a command, under a title of their own in the help."""

    def add(command: AnyCommand) -> AnyCommand:
        before = len(_parameters(command))
        for each in reversed(options):
            command = each(command)
        for parameter in _parameters(command)[before:]:
            if isinstance(parameter, Option) and parameter.section == OPTIONS:
                parameter.section = title
        return command

    return add


def options(*added: Callable[[AnyCommand], AnyCommand]) -> Callable[[AnyCommand], AnyCommand]:
    """Return what adds options, or arguments, to a command, in their order in the help."""
    return section(OPTIONS, *added)


def _parameters(command: AnyCommand) -> list[click.Parameter]:
    found: list[click.Parameter] = getattr(command, "__click_params__", [])
    return found


def with_plugins(text: str) -> str:
    """Return `text` with the names of the plug-ins that are installed for ``{algorithms}``...

    The help of a command is the only place that needs them, and reads what is installed then.
    """
    if "{" not in text:
        return text
    from hashmatch import registry

    def named(group: str) -> list[str]:
        return registry.names(group)

    schemes = [f"{name}://" for name in named(registry.SOURCES) if name != "directory"]
    for word, names in (
        ("{algorithms}", named(registry.HASHERS)),
        ("{list formats}", named(registry.LISTS)),
        ("{schemes}", schemes),
        ("{exchange kinds}", named(registry.EXCHANGES)),
        ("{endings}", [f".{name}" for name in named(registry.SINKS)]),
    ):
        text = text.replace(word, _or(names))
    return text


def _or(names: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


class Command(click.Command):
    """A command whose help has its options in sections, and its examples apart."""

    @property
    def help(self) -> str | None:
        """What the command does, with its examples at the end."""
        return None if self._help is None else with_plugins(self._help)

    @help.setter
    def help(self, text: str | None) -> None:
        self._help = text

    @property
    def examples(self) -> list[str]:
        """The lines of the examples; one that ends in a backslash continues in the next."""
        return _parts(self.help)[1].splitlines()

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the command does, and its examples as they are."""
        text, examples = _parts(self.help)
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(text)
        if examples:
            with formatter.section("Examples"):
                formatter.write_text(f"\b\n{examples}")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by section, in the order in which the sections come first."""
        write_options(self, ctx, formatter)


def _parts(help: str | None) -> tuple[str, str]:
    """Return a docstring's text, and its examples."""
    text, _, examples = inspect.cleandoc(help or "").partition(EXAMPLES)
    return text, examples


def write_options(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    """Write the options of a command by section."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None and not isinstance(parameter, click.Argument):
            sections.setdefault(getattr(parameter, "section", OPTIONS), []).append(record)
    for title, records in sorted(sections.items(), key=lambda each: each[0] == SAFEGUARDS):
        with formatter.section(title):
            formatter.write_dl(records)


class NoSuchCommand(click.UsageError):
    """A word that is no command, with what was probably meant; as click says it."""

    def __init__(self, name: str, meant: str, ctx: click.Context) -> None:
        super().__init__(f"No such command {name!r}.{meant}", ctx)


class Group(click.Group):
    """A group of commands that says which command a misspelt or former name may mean."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the group's own options; one of its commands stands after the command's name."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = error.option_name
            below = (option for _, each in walk(self) for option in each.params)
            if not any(name in option.opts for option in below):
                raise
            raise click.UsageError(
                f"cannot use {name} here: it is an option of commands. Give it after the command's "
                "name.",
                ctx,
            ) from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is called; a wrong name is an error that names the nearest."""
        name = args[0]
        is_command = self.get_command(ctx, name) is not None or name.startswith("-")
        if not is_command and not ctx.resilient_parsing:
            raise NoSuchCommand(name, self._meant(ctx, name), ctx)
        return super().resolve_command(ctx, args)

    def _meant(self, ctx: click.Context, name: str) -> str:
        """Return which command was probably meant, or else which there are."""
        here = ctx.command_path.split()[1:]
        root = ctx.find_root().command
        known = [path for path, _ in walk(root) if path]
        below = [path for path in known if path[: len(here)] == tuple(here)]
        found = RENAMED.get(" ".join([*here, name]))
        for paths in [] if found else [below, known]:
            by_name: dict[str, str] = {}
            for path in paths:
                by_name.setdefault(path[-1], " ".join(path))
            near = [name] if name in by_name else get_close_matches(name, by_name, n=1)
            if near:
                found = by_name[near[0]]
                break
        if found:
            return f" Did you mean {found!r}?"
        return f" There are {', '.join(sorted(self.commands))}."


def command(
    name: str | None = None, cls: type[click.Command] = Command, **how: Any
) -> Callable[[AnyCommand], click.Command]:
    """Return the decorator that makes a `Command`; as `click.command`."""
    return click.command(name, cls=cls, **how)


def group(name: str | None = None, **how: Any) -> Callable[[AnyCommand], Group]:
    """Return the decorator that makes a `Group`; as `click.group`."""
    return click.group(name, cls=Group, **how)


def walk(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield a command and all below it, each with the words that call it."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from walk(below, (*path, name))
