"""Sentences of Markdown and of docstrings, for the tests of their style."""

import re

# Chains and words that readers stumbled over; and names that the code no longer has.
STUMBLES = re.compile(
    r"\b(but for|so that|of which|of whom|whom|as of|no?body|somebody|whoever|"
    r"looks? at|looks|views?|rejects?|rejected|stretches|finders?|taylor|quarter-pixel)\b",
    re.IGNORECASE,
)
MAX_WORDS = 30


def read_paragraphs(text):
    """The prose of Markdown: no code, tables, headings or pictures; an item is a paragraph."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = []
    for line in text.splitlines():
        is_prose = not re.match(r"    |\||#|!\[|<", line)
        item = re.match(r"\s{0,3}(?:[-*]|\d+\.) +(.*)", line)
        if item:
            lines += ["", item[1]]
        else:
            lines.append(line.strip() if is_prose else "")
    return [block for block in re.split(r"\n{2,}", "\n".join(lines)) if block.strip()]


def read_sentences(text):
    """The sentences of Markdown, a piece of code counting as one word, links by their text."""
    sentences = []
    for paragraph in read_paragraphs(text):
        plain = re.sub(r"`+[^`]*`+", "CODE", " ".join(paragraph.split()))
        plain = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", plain).replace("**", "")
        sentences += re.split(r"(?<=[.!?])[)\"]? +(?=[A-Z0-9(\"])", plain)
    return sentences


def find_long(text, limit=MAX_WORDS):
    """Sentences of more words than `limit`, with their number of words."""
    counted = [(len(sentence.split()), sentence) for sentence in read_sentences(text)]
    return [(number, sentence) for number, sentence in counted if number > limit]


def find_stumbles(text):
    """Pairs of a word or chain to drop and the sentence it is in."""
    return [
        (match[0], sentence)
        for sentence in read_sentences(text)
        for match in STUMBLES.finditer(sentence)
    ]
