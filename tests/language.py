"""How often the texts use constructions that make English hard to read.

`python -m tests.language` reports the rates of all sources, with each place when it is given the
names of sources: `python -m tests.language help messages`.
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.pages import FENCE, PART, ROOT, find_commands, find_pages

WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
SENTENCE_END = re.compile(r"(?<=[.!?;:])\s+")
MIN_WORDS = 3  # of a string that counts as a message
LIMITS = {"somebody": 0.1, "of": 0.1, "tells": 0.5, "what": 0.7}  # per 1,000 words

PATTERNS: Mapping[str, re.Pattern[str]] = {
    "somebody": re.compile(r"\b(?:(?:some|no|any|every)body|who(?:m|so)?ever)\b", re.I),
    "of": re.compile(r"^Of\s"),
    "tells": re.compile(r"\b(?:tell|tells|told|telling|say|says|said|saying|hears?|heard)\b", re.I),
    "what": re.compile(r"\bwhat\b(?! if\b)", re.I),
}


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text without code, and where it is."""

    place: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Use:
    """One use of a construction."""

    construction: str
    place: str
    sentence: str


def count_words(texts: list[Text]) -> int:
    """The words of all texts."""
    return sum(len(WORD.findall(text.words)) for text in texts)


def find_uses(texts: list[Text]) -> list[Use]:
    """Every use of the four constructions; a question may ask what it wants."""
    return [
        Use(construction=name, place=text.place, sentence=sentence)
        for text in texts
        for sentence in _sentences(text.words)
        for name, pattern in PATTERNS.items()
        if not (name == "what" and sentence.endswith("?"))
        for _ in pattern.findall(sentence)
    ]


def measure(texts: list[Text]) -> dict[str, float]:
    """Uses per 1,000 words, by construction."""
    uses, n_words = find_uses(texts), count_words(texts)
    return {
        name: 1000 * sum(use.construction == name for use in uses) / max(n_words, 1)
        for name in PATTERNS
    }


def _sentences(text: str) -> list[str]:
    return SENTENCE_END.split(" ".join(text.split()))


# --- sources ---


def read_pages() -> list[Text]:
    """The paragraphs, items and cells of the pages; generated parts repeat the help."""
    found = []
    for page in find_pages():
        text = PART.sub(_hand_written, page.read_text())
        text = re.sub(r"<!--.*?-->", "", FENCE.sub("", text), flags=re.S)
        for number, words in enumerate(_paragraphs(text), 1):
            found.append(Text(place=f"{page.relative_to(ROOT)} paragraph {number}", words=words))
    return found


def _hand_written(part: re.Match[str]) -> str:
    """A generated part, unless it repeats the help."""
    return "" if part[2].startswith("command") else part[3]


def _paragraphs(markdown: str) -> Iterator[str]:
    """Prose without marks: links keep their text, code becomes `_`."""
    text = re.sub(r"\]\([^)]*\)", "]", re.sub(r"`[^`]*`", "_", markdown))
    text = re.sub(r"^(?:#+ |[-*] |\d+\. )", "\n", text, flags=re.M)
    text = re.sub(r"^\|.*$", lambda row: "\n\n".join(row[0].split("|")), text, flags=re.M)
    for part in re.split(r"\n\s*\n", re.sub(r"[*\[\]]", "", text)):
        if WORD.search(part):
            yield part


def read_docstrings() -> list[Text]:
    """The docstrings of the package."""
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return [
        Text(place=f"{name}:{getattr(node, 'lineno', 1)}", words=_without_code(text))
        for name, tree in _modules()
        for node in ast.walk(tree)
        if isinstance(node, kinds) and (text := ast.get_docstring(node))
    ]


def read_help() -> list[Text]:
    """Summaries and arguments of all commands, without their examples."""
    found = []
    for name, parser in find_commands().items():
        found.append(Text(place=f"tuner {name}", words=parser.description or ""))
        for action in parser._actions:
            place = f"tuner {name} {action.option_strings or action.dest}"
            if not isinstance(action, argparse._HelpAction):
                found.append(Text(place=place, words=action.help or ""))
    return found


def read_messages() -> list[Text]:
    """Strings of several words that are neither docstrings nor help; values become `_`."""
    return [
        Text(place=f"{name}:{line}", words=_without_code(text))
        for name, tree in _modules()
        if "/parser/" not in name
        for line, text in _strings(tree)
        if len(WORD.findall(text)) >= MIN_WORDS and " " in text.strip()
    ]


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for file in sorted((ROOT / "tuner").rglob("*.py")):
        yield str(file.relative_to(ROOT)), ast.parse(file.read_text())


def _strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The strings of a module that stand for themselves, parts of f-strings joined."""
    skipped: set[int] = set()
    for node in ast.walk(tree):  # parents come before their children
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))  # a docstring
        elif isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values}
            yield node.lineno, "".join(_part(part) for part in node.values)
        elif isinstance(node, ast.Constant) and id(node) not in skipped:
            found = node.value
            yield from [(node.lineno, found)] if isinstance(found, str) else []


def _part(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else "_"


def _without_code(text: str) -> str:
    return re.sub(r"`[^`]*`", "_", text)


SOURCES = {
    "pages": read_pages,
    "help": read_help,
    "docstrings": read_docstrings,
    "messages": read_messages,
}


def _report(names: list[str]) -> None:
    print(f"{'source':12}{'words':>8}", *(f"{name:>10}" for name in LIMITS))
    print(f"{'limit':12}{'':8}", *(f"{limit:10.2f}" for limit in LIMITS.values()))
    for name, read in SOURCES.items():
        texts = read()
        rates = measure(texts)
        print(f"{name:12}{count_words(texts):8,}", *(f"{rates[key]:10.2f}" for key in LIMITS))
    for name in names:
        for use in find_uses(SOURCES[name]()):
            print(f"{use.construction:9} {use.place}: {use.sentence}")


if __name__ == "__main__":
    _report(sys.argv[1:])
