"""A CLIP tokenizer of a small vocabulary: every known word is one token, anything else is spelled in bytes.

The vocabulary is made from sentences, so it belongs to the prompt grammar that wrote them. Byte-pair merges are built word
by word: a word is merged with the merges that exist, and while more than one piece is left, the first two are joined by a
new merge. New merges rank behind old ones, so no later word can change how an earlier one is cut.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from jaxtyping import Int64
from torch import Tensor

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
_WORD = re.compile(r"[a-z]+|[0-9]|[^\sa-z0-9]+")  # the ASCII part of CLIP's own pattern


def words_of(sentences: Iterable[str]) -> list[str]:
    """All distinct words, lower case, sorted; punctuation runs and single digits count as words."""
    return sorted({word for sentence in sentences for word in _WORD.findall(sentence.lower())})


def build_tokenizer(words: Sequence[str], length: int) -> "CLIPTokenizer":
    """A tokenizer that gives each of the words one token; `length` is the padded length with start and end token."""
    from transformers import CLIPTokenizer

    letters = byte_letters()
    symbols = [*letters, *(letter + "</w>" for letter in letters)]
    ranks: dict[tuple[str, str], int] = {}
    for word in words:
        if not word.isascii():
            raise ValueError(f"build_tokenizer: expected ASCII words, got {word!r}")
        spelled = [*word[:-1], word[-1] + "</w>"]
        while len(pieces := _merged(spelled, ranks)) > 1:
            ranks[(pieces[0], pieces[1])] = len(ranks)
    merged = list(dict.fromkeys(left + right for left, right in ranks))
    vocabulary = {token: index for index, token in enumerate([*symbols, *merged, START, END])}
    merges: Any = list(ranks)  # pairs, which the stubs do not know
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=length)


def encode(tokenizer: "CLIPTokenizer", sentences: Sequence[str]) -> Int64[Tensor, "sentences length"]:
    """Token ids, padded with the end token. A sentence that does not fit raises ValueError."""
    longest = max(len(ids) for ids in tokenizer(list(sentences))["input_ids"])
    if longest > tokenizer.model_max_length:
        raise ValueError(f"encode: a prompt has {longest} tokens, expected at most {tokenizer.model_max_length}")
    return tokenizer(list(sentences), padding="max_length", return_tensors="pt")["input_ids"]


def byte_letters() -> list[str]:
    """The 256 printable letters that stand for bytes in byte-level BPE, in byte order (as in GPT-2)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable} | {byte: chr(256 + k) for k, byte in enumerate(others)}
    return [letters[byte] for byte in range(256)]


def _merged(pieces: list[str], ranks: dict[tuple[str, str], int]) -> list[str]:
    """What byte-pair encoding makes of the pieces: the pair of lowest rank is joined, everywhere, until none is left."""
    while True:
        known = [pair for pair in pairwise(pieces) if pair in ranks]
        if not known:
            return pieces
        left, right = min(known, key=ranks.__getitem__)
        joined: list[str] = []
        for piece in pieces:
            if joined and joined[-1] == left and piece == right:
                joined[-1] = left + right
            else:
                joined.append(piece)
        pieces = joined
