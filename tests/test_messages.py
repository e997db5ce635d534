"""What people read is plain: errors say *cannot X: reason. Do Y.*, without private words."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import pytest

import hashmatch as hm
from conftest import ROOT
from hashmatch import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

SRC = ROOT / "src" / "hashmatch"
STANDS_ALONE = {
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, hm.HashmatchError)
} | {"click.UsageError", "click.BadParameter", "click.ClickException", "SourceUnavailable"}
"""Errors whose message is all that people see. Others are reasons, which follow *cannot X:*, or the
name of a picture or a row."""
REASONS = {
    ("records/hashes.py", "parse"),
    ("records/hashes.py", "from_hex"),
    ("lists/ingest.py", "_value"),
    ("lists/readers/ncmec_xml.py", "_refuse_doctype"),
    ("lists/readers/ncmec_xml.py", "_start"),
    *(
        ("lists/vpdq_signal.py", name)
        for name in (
            "frame_of",
            "frames_of",
            "parse_signal",
            "video_of",
            "_number",
            "_quality",
            "_seconds",
        )
    ),
}
"""Functions that raise `UsageError` for one row of many, of which the caller says the line."""
BEGUN = {
    ("review/webhook/messages.py", "__post_init__"),
    ("store/importer.py", "roll_back"),
    ("store/importer.py", "_check_size"),
    ("review/web/context.py", "not_held"),
}
"""Functions that have the *cannot X:* of several messages in a variable, or talk to a reviewer."""
BEGINS = re.compile(
    r"(\{\}(, line \{\})?: )?cannot |line \{\}: "
    r"|\{\}$|\{\} \(\{\}\)$|\{\}\{\}$|\{\}[.;] |\{\}(, line \{\})?: \{\}$|\{\}, \{\}\.$"
)
"""A message that begins with what another function has said is checked there; *line N:* follows the
*cannot read FILE:* of who opened it."""
DIALECT = (
    r"told|whoever|of whom|goes on|go on|going on|gives? up|what waits|waits for what"
    r"|in hand|mend|mended|tells? of|for nothing"
)
"""Words of a dialect that nobody would search for."""
PRIVATE = re.compile(rf"\b({DIALECT}|whatever|are none)\b", re.IGNORECASE)
"""Those, and words that are too vague for a message."""


class Message(NamedTuple):
    """A text of the source that people read, with `{}` in the place of what is filled in."""

    file: str
    line: int
    function: str
    error: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.error}: {self.text}"


def text_of(node: ast.expr) -> str | None:
    """Return the text of an expression; None if it is none."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "{}" for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return "{}"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = text_of(node.left), text_of(node.right)
        return None if left is None else left + (right or "{}")
    return None


def calls(node: ast.AST, function: str = "") -> Iterator[tuple[str, ast.Call, bool]]:
    """Yield each call in a tree, the function that it is in, and whether it is raised."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        function = node.name
    raised = node.exc if isinstance(node, ast.Raise) else None
    if isinstance(raised, ast.Call):
        yield function, raised, True
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and child is not raised:
            yield function, child, False
        yield from calls(child, function)


LOGGED = re.compile(r"(LOG|log|logger)\.(debug|info|warning|error|exception|critical)")
SHOWN = {
    *("click.option", "click.argument", "click.echo", "warn"),
    *("option", "command", "group", "print_line", "allowance"),
}


@cache
def messages() -> tuple[Message, ...]:
    """Return the messages of errors, log lines, help texts and lines of commands."""
    found = []
    for path in sorted(SRC.rglob("*.py")):
        file = str(path.relative_to(SRC))
        for function, call, is_raised in calls(ast.parse(path.read_text())):
            name = ast.unparse(call.func)
            is_error = is_raised or name in STANDS_ALONE
            if not (is_error or LOGGED.fullmatch(name) or name in SHOWN):
                continue
            values = [*call.args, *(each.value for each in call.keywords)]
            texts = [text for value in values if (text := text_of(value))]
            kept = texts[:1] if is_error else texts
            found += [Message(file, call.lineno, function, name, text) for text in kept]
    return tuple(found)


def test_messages_are_found() -> None:
    assert len(messages()) > 700
    assert {"UsageError", "StoreError", "LOG.warning"} <= {each.error for each in messages()}


def test_errors_say_what_cannot_be_done() -> None:
    bare = [
        str(each)
        for each in messages()
        if each.error in STANDS_ALONE
        and (each.file, each.function) not in REASONS | BEGUN
        and not BEGINS.match(each.text)
    ]
    assert bare == []


def test_advice_is_a_sentence_of_its_own() -> None:
    """*cannot X: reason. Do Y.*, not *; do Y*."""
    advice = re.compile(r"; (give|use|restore|import|get|build|open|make|put|remove|sign|write)\b")
    joined = [
        str(each)
        for each in messages()
        if each.error in STANDS_ALONE
        and (each.file, each.function) not in REASONS
        and advice.search(each.text)
    ]
    assert joined == []


def test_no_message_has_private_words() -> None:
    private = [str(each) for each in messages() if " " in each.text and PRIVATE.search(each.text)]
    assert private == []


def test_no_module_opens_with_private_words() -> None:
    private = []
    for path in sorted(SRC.rglob("*.py")):
        first = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
        if PRIVATE.search(first):
            private.append(f"{path.relative_to(SRC)}: {first}")
    assert private == []


def docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield the docstrings of a module, and of its classes, functions and names."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for each in body if isinstance(body, list) else []:
            if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant):
                yield each.value


def test_no_docstring_has_private_words() -> None:
    private, count = [], 0
    for path in sorted(SRC.rglob("*.py")):
        for each in docstrings(ast.parse(path.read_text())):
            count += 1
            text = re.sub(r"`[^`]*`", "", str(each.value))  # names are no words
            found = re.search(rf"\b({DIALECT})\b", re.sub(r"\s+", " ", text), re.IGNORECASE)
            if found:
                private.append(f"{path.relative_to(SRC)}:{each.lineno}: {found[0]}")
    assert count > 3_000
    assert private == []


@pytest.mark.parametrize(
    ("text", "is_plain"),
    [
        ("cannot open {}: it is empty. Build it again", True),
        ("{}, line {}: cannot read it", True),
        ("the URL to push to is none", False),
        ("a shard is i/n", False),
    ],
)
def test_what_a_bare_noun_clause_is(text: str, is_plain: bool) -> None:
    assert (BEGINS.match(text) is not None) is is_plain
