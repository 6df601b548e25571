"""Rewriting by rules, in one pass: what a rule has written is not read again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

#: From a match to words; None when the rule does not apply after all, and the next one is tried.
Reading = Callable[["re.Match[str]"], "str | None"]

#: A number as it is written; no digit is left standing beside it.
NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
#: Nothing of a word or a number before.
START = r"(?<![\w.,])"
#: Nothing of a word or a number after.
END = r"(?![\w])(?!\.\d)(?!,\d{3}(?!\d))"

HYPHEN_BEFORE, HYPHEN_AFTER = re.compile(r"[^\W\d_]-$"), re.compile(r"[-'][^\W\d_]")


@dataclass(frozen=True)
class Rule:
    """A pattern and how it is read."""

    pattern: re.Pattern[str]
    reading: Reading


def rule(pattern: str, reading: Reading) -> Rule:
    """A rule; its pattern must match at least one character, in time linear in the text."""
    return Rule(re.compile(pattern), reading)


class Rewriter:
    """Reads a text by the first rule that applies at each place; the rest stays as it is."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self.any = re.compile("|".join(f"(?:{unnamed(item.pattern)})" for item in self.rules))

    def __call__(self, text: str) -> str:
        """The text with every match in words, spaces around them."""
        parts, place = [], 0
        while found := self.any.search(text, place):
            start = found.start()
            parts.append(text[place:start])
            words, place = self.read(text, start)
            parts.append(words)
        return "".join([*parts, text[place:]])

    def read(self, text: str, start: int) -> tuple[str, int]:
        """What stands at a place in words, and where it ends; one character as it is where no rule
        applies after all.
        """
        for item in self.rules:
            match = item.pattern.match(text, start)
            words = item.reading(match) if match else None
            if match and words is not None:
                end = match.end()
                return f"{before(text, start)}{words}{after(text, end)}", end
        return text[start], start + 1


def before(text: str, start: int) -> str:
    """The space between a text's words and what stands before them: none in pre-1900."""
    return "" if HYPHEN_BEFORE.search(text, max(0, start - 2), start) else " "


def after(text: str, end: int) -> str:
    """The space between a text's words and what stands after them: none in 5-year and UK's."""
    return "" if HYPHEN_AFTER.match(text, end) else " "


def unnamed(pattern: re.Pattern[str]) -> str:
    """A pattern without names for its groups, which must differ in one expression."""
    return re.sub(r"\(\?P<\w+>", "(?:", pattern.pattern)


def alternatives(words: Iterable[str]) -> str:
    """A pattern for any of the words, the longest first."""
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
