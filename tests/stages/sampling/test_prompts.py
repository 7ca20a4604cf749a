import numpy as np
import pytest
import yaml

from posedreamer.rendering.attributes import VALUES, complete
from posedreamer.stages.sampling.prompts import PEOPLE_PROMPTS, PHOTO_PROMPTS, PromptGrammar, words
from posedreamer.stages.sampling.splits import load_splits

SPOKEN = {"trousers": ("trousers", "pants"), "bald": ("bald", "shaved")}


@pytest.fixture(params=[PEOPLE_PROMPTS, PHOTO_PROMPTS], ids=["people", "photo"])
def grammar(request):
    return PromptGrammar.from_yaml(request.param)


def draws(grammar, count, split="all"):
    rng = np.random.default_rng(0)
    return [grammar.draw(rng, split) for _ in range(count)]


def test_what_can_be_said_can_be_drawn(grammar):
    for prompt in draws(grammar, 100):
        assert complete(prompt.attributes).keys() >= VALUES.keys()


def test_whatever_can_be_drawn_is_said_about_people():
    grammar = PromptGrammar.from_yaml(PEOPLE_PROMPTS)
    assert {name: set(values) for name, values in grammar.attributes.items()} == {k: set(v) for k, v in VALUES.items()}


def test_every_attribute_is_in_the_text():
    for prompt in draws(PromptGrammar.from_yaml(PEOPLE_PROMPTS), 150):
        said = " ".join(words(prompt.text))
        for name, value in prompt.attributes.items():
            if value == "plain" or (name == "hair_color" and prompt.attributes["hair_style"] == "bald"):
                continue
            if name == "shoes_color" and prompt.attributes.get("shoes") == "bare feet":
                continue
            assert any(form in said for form in SPOKEN.get(value, (value,)))


def test_the_vocabulary_holds_every_word(grammar):
    said = {word for prompt in draws(grammar, 800) for word in words(prompt.text)}
    assert said <= set(grammar.vocabulary)
    # Nothing else is in it: 800 draws say nearly all there is.
    assert len(said) > 0.95 * len(grammar.vocabulary)


def test_the_small_vocabulary_stays_small():
    grammar = PromptGrammar.from_yaml(PEOPLE_PROMPTS)
    assert len(grammar.vocabulary) < 80
    assert max(len(words(prompt.text)) for prompt in draws(grammar, 400)) <= 40


def test_held_out_combinations_are_in_no_training_prompt(grammar):
    splits = load_splits()
    assert not any(splits.is_held_out_prompt(prompt.attributes) for prompt in draws(grammar, 300, "train"))
    assert all(splits.is_held_out_prompt(prompt.attributes) for prompt in draws(grammar, 10, "held_out"))
    assert any(splits.is_held_out_prompt(prompt.attributes) for prompt in draws(grammar, 300, "all"))


def test_no_slot_is_left_and_articles_fit(grammar):
    for prompt in draws(grammar, 200):
        assert "{" not in prompt.text and "  " not in prompt.text
        assert not {(a, b[0]) for a, b in zip(words(prompt.text), words(prompt.text)[1:], strict=False)} & {
            ("a", vowel) for vowel in "aeio"
        }


def test_the_same_attributes_are_said_in_many_ways(grammar):
    prompt, rng = draws(grammar, 1)[0], np.random.default_rng(1)
    assert len({grammar.say(prompt.attributes, rng) for _ in range(60)}) > 10


def test_equal_generators_draw_equal_prompts(grammar):
    assert draws(grammar, 5) == draws(grammar, 5)


def test_say_names_what_it_cannot_say():
    grammar = PromptGrammar.from_yaml(PEOPLE_PROMPTS)
    attributes = dict(draws(grammar, 1)[0].attributes)
    with pytest.raises(ValueError, match="top_color is 'plaid'"):
        grammar.say({**attributes, "top_color": "plaid"}, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"templates": ["{skin} {mood}"]}, "nothing fills mood"),
        ({"clauses": {"hair": {"by": "hair_style", "short": ["short"]}}}, "does not say bob"),
        ({"clauses": {"hair": {"by": "mood"}}}, "no attribute"),
        ({"extra": []}, "expected attributes, clauses"),
        ({"templates": ["A topless {skin} person"]}, "says topless"),
    ],
)
def test_a_broken_grammar_is_an_error(tmp_path, change, message):
    raw = yaml.safe_load(PEOPLE_PROMPTS.read_text())
    path = tmp_path / "broken.yaml"
    path.write_text(yaml.safe_dump({**raw, **change}))
    with pytest.raises(ValueError, match=message):
        PromptGrammar.from_yaml(path)
