"""The texts for readers are plain English, by the constructions that can be counted."""

import re

import pytest

from tests.language import LIMITS, SOURCES, Text, find_uses, measure

LIMITED = (
    "pages",
    "help",
    "docstrings",
    "messages",
)  # sources of `SOURCES` that must be below the limits


# Words for which style.md has another one.
AVOIDED = r"mend\w*|anew|beside|hand(?:s|ed|ing)? back|of yours|go(?:es)? on|went on"


def uses(words: str) -> list[str]:
    return [use.construction for use in find_uses([Text(place="here", words=words)])]


@pytest.mark.parametrize("source", LIMITED)
def test_the_rates_are_below_their_limits(source):
    """`python -m tests.language pages` shows each use."""
    texts = SOURCES[source]()
    rates = measure(texts)
    over = {name: rate for name, rate in rates.items() if rate > LIMITS[name]}
    listed = [
        f"{use.place}: {use.sentence}" for use in find_uses(texts) if use.construction in over
    ]
    assert over == {}, "\n".join(listed)


@pytest.mark.parametrize("source", LIMITED)
def test_the_standard_words_are_used(source):
    avoided = re.compile(rf"\b(?:{AVOIDED})\b", re.I)
    found = [(text.place, avoided.findall(text.words)) for text in SOURCES[source]()]
    assert [(place, words) for place, words in found if words] == []


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_has_texts(source):
    assert sum(len(text.words.split()) for text in SOURCES[source]()) > 500


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("Nobody knows it, and whoever asks is not anybody.", ["somebody"] * 3),
        ("Of a list, each prunes.", ["of"]),
        ("It ends. Of two trials, one is better.", ["of"]),
        ("The number of trials is fixed. Often it is 5.", []),
        ("It tells the pruner, which said so and heard it.", ["tells"] * 3),
        ("Say a word; a saying and an essay.", ["tells", "tells"]),
        ("It shows what a trial printed.", ["what"]),
        ("What is a trial? What if it fails, whatever it is?", []),
    ],
)
def test_the_constructions_are_found(words, found):
    assert uses(words) == found


def test_a_rate_is_per_thousand_words():
    texts = [Text(place="here", words="what " + "word " * 499)]
    assert measure(texts) == {"somebody": 0, "of": 0, "tells": 0, "what": 2}
