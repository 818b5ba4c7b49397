"""SQL text to single statements, each with the line that it begins on: one that cannot be read loses only itself.

What the statements mean is the business of `_sql_lineage`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import Dialect, Token, TokenType
from sqlglot.errors import ErrorLevel, ParseError, TokenError
from sqlglot.expressions import Expr

NESTING_LIMIT = 100
"""Brackets in brackets: the parser calls itself for each, and Python ends that at some depth, not always politely."""

_STATEMENT_END = re.compile(r";[ \t]*(?:--[^\n]*)?(?:\n|$)")


class StatementError(ValueError):
    """A statement that cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Statement:
    """The tokens of one statement, or why they cannot be told."""

    line: int
    text: str
    """The text that the tokens were read from."""
    tokens: Sequence[Token] = ()
    unreadable: str = ""


def substitute(text: str, parameters: Mapping[str, str]) -> str:
    """Put values in the place of `@name`, the longest name first, as OHDSI's SqlRender does."""
    if not parameters:
        return text
    names = "|".join(re.escape(name) for name in sorted(parameters, key=lambda name: (-len(name), name)))
    return re.sub(f"@({names})", lambda match: parameters[match[1]], text)


def statements(text: str, dialect: Dialect) -> Iterator[Statement]:
    """The statements of a text; where its tokens cannot be told, only the part up to the next `;` is lost."""
    try:
        yield from _split(dialect.tokenize(text), text)
    except TokenError:
        yield from _by_lines(text, dialect)


def parse(statement: Statement, dialect: Dialect) -> list[Expr]:
    """The syntax trees of a statement; raises `StatementError`."""
    if statement.unreadable:
        raise StatementError(statement.unreadable)
    if (depth := _depth(statement.tokens)) > NESTING_LIMIT:
        message = f"its brackets are nested {depth} deep, and {NESTING_LIMIT} is the limit"
        raise StatementError(message)
    try:
        trees = dialect.parser(error_level=ErrorLevel.IMMEDIATE).parse(list(statement.tokens), statement.text)
    except ParseError as error:
        raise StatementError(_in_short(error)) from None
    return [tree for tree in trees if tree is not None]


def _split(tokens: Sequence[Token], text: str, first_line: int = 1) -> Iterator[Statement]:
    found: list[Token] = []
    for index, token in enumerate(tokens):
        ends = token.token_type == TokenType.SEMICOLON or _is_batch_end(tokens, index)
        if not ends:
            found.append(token)
        elif found:
            yield Statement(found[0].line + first_line - 1, text, found)
            found = []
    if found:
        yield Statement(found[0].line + first_line - 1, text, found)


def _is_batch_end(tokens: Sequence[Token], index: int) -> bool:
    """Whether a token is the `GO` that ends a batch: alone on its line. A parser would take it for a table's alias."""
    token = tokens[index]
    return (
        token.text.upper() == "GO"
        and (index == 0 or tokens[index - 1].line < token.line)
        and (index + 1 == len(tokens) or tokens[index + 1].line > token.line)
    )


def _by_lines(text: str, dialect: Dialect) -> Iterator[Statement]:
    """The statements of a text that cannot be read as a whole, such as one with a quote that is never closed."""
    start = 0
    while start < len(text):
        match = _STATEMENT_END.search(text, start)
        end = match.end() if match else len(text)
        piece, line = text[start:end], text.count("\n", 0, start) + 1
        try:
            yield from _split(dialect.tokenize(piece), piece, line)
        except TokenError:
            blank = len(piece) - len(piece.lstrip())
            yield Statement(
                line + piece.count("\n", 0, blank), piece, unreadable="a quote or comment in it is never closed"
            )
        start = end


def _depth(tokens: Sequence[Token]) -> int:
    depth = deepest = 0
    for token in tokens:
        depth += (token.token_type == TokenType.L_PAREN) - (token.token_type == TokenType.R_PAREN)
        deepest = max(deepest, depth)
    return deepest


def _in_short(error: Exception) -> str:
    """The parser's reason in one line: its own message repeats the statement, with the codes of a terminal in it."""
    found = getattr(error, "errors", None)
    if not found:
        return "it cannot be parsed"
    reason = str(found[0].get("description") or "it cannot be parsed").partition(" but got <")[0].rstrip(".")
    near = found[0].get("highlight")
    return f"it cannot be parsed: {reason}" + (f" at '{str(near)[:40]}'" if near else "")
