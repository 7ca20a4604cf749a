"""Laws of the small vocabulary."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posedreamer import torchvision_shim

torchvision_shim.install()
from posedreamer.seeds import generator_for  # noqa: E402
from posedreamer.stages.sampling.prompts import PEOPLE_PROMPTS, PromptGrammar  # noqa: E402
from posedreamer.training.nano_text import build_tokenizer, byte_letters, encode, words_of  # noqa: E402

WORDS = st.lists(st.text("abcdt", min_size=1, max_size=7), min_size=1, max_size=30, unique=True)


@settings(max_examples=30, deadline=None)
@given(WORDS)
def test_each_word_is_one_token_and_comes_back(words):
    tokenizer = build_tokenizer(words, 8)
    for word in words:
        assert tokenizer.tokenize(word) == [word + "</w>"]
        assert tokenizer.decode(tokenizer(word)["input_ids"], skip_special_tokens=True).strip() == word


def test_sentences_of_the_grammar_come_back():
    grammar = PromptGrammar.from_yaml(PEOPLE_PROMPTS)
    texts = [grammar.draw(generator_for(0, str(k), "prompt"), "all").text for k in range(200)]
    tokenizer = build_tokenizer(words_of(texts), 40)
    ids = encode(tokenizer, texts)
    assert ids.shape == (200, 40)
    for text, row in zip(texts, ids, strict=True):
        decoded = tokenizer.decode(row, skip_special_tokens=True)
        assert words_of([decoded]) == words_of([text])
        assert decoded.replace(" ", "") == text.lower().replace(" ", "")


def test_unknown_words_are_spelled_and_long_prompts_refused():
    tokenizer = build_tokenizer(["red"], 8)
    assert tokenizer.tokenize("reds") == ["red", "s</w>"] or len(tokenizer.tokenize("reds")) > 1
    with pytest.raises(ValueError, match="at most 8"):
        encode(tokenizer, ["a b c d e f g h i j"])
    with pytest.raises(ValueError, match="ASCII"):
        build_tokenizer(["café"], 8)


def test_tokenizer_reloads_from_disk(tmp_path):
    from transformers import CLIPTokenizer

    tokenizer = build_tokenizer(["red", "shirt", "shirts"], 8)
    tokenizer.save_pretrained(tmp_path)
    again = CLIPTokenizer.from_pretrained(tmp_path)
    text = "red shirts, ein Hemd"
    assert again(text)["input_ids"] == tokenizer(text)["input_ids"] and again.model_max_length == 8


def test_byte_letters_are_distinct():
    assert len(set(byte_letters())) == 256 and all(a != b for a, b in pairwise(byte_letters()))
