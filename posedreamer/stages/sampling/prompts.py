"""Prompts: sentences filled with attributes, so that every picture's look is known before the picture exists.

A grammar file has four parts: `attributes` (name -> values), `clauses` (ways to say one attribute's value, which may hold
further attributes), `phrases` (free choices that say nothing) and `templates`. Each draw picks a value for each
attribute, then a template, a clause and a phrase for each slot. The idea is PoseDreamer's; the words are our own.
"""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

import numpy as np
import yaml

from posedreamer.sample import Prompt
from posedreamer.stages.sampling.splits import Split, is_in_split, load_splits

PROMPTS = Path(__file__).parents[2] / "assets" / "prompts"
PEOPLE_PROMPTS, PHOTO_PROMPTS = PROMPTS / "people.yaml", PROMPTS / "photo.yaml"
WORD = re.compile(r"[a-z0-9][a-z0-9'-]*|[.,]")
ARTICLE = re.compile(r"\b([Aa]) (?=[aeio])")
DRAW_TRIES = 10_000
UNCLOTHED = frozenset(
    "bare-chested bra braless lingerie naked nude nudity shirtless thong topless unclothed underwear undressed".split()
)  # words that no grammar may say: a factory of strangers' bodies draws them dressed


@dataclass(frozen=True)
class PromptGrammar:
    """A grammar that has been read and checked. clauses: name -> (attribute it says, value -> ways to say it)."""

    attributes: Mapping[str, tuple[str, ...]]
    clauses: Mapping[str, tuple[str, Mapping[str, tuple[str, ...]]]]
    phrases: Mapping[str, tuple[str, ...]]
    templates: tuple[str, ...]

    @classmethod
    def from_yaml(cls, path: Path) -> "PromptGrammar":
        """The grammar of a file; a slot that nothing fills, or a clause that misses a value, is a ValueError."""
        raw = yaml.safe_load(path.read_text())
        if not isinstance(raw, dict) or set(raw) != {"attributes", "clauses", "phrases", "templates"}:
            raise ValueError(f"prompts {path}: expected attributes, clauses, phrases and templates, got {raw!r:.80}")
        clauses = {
            name: (ways["by"], {value: tuple(forms) for value, forms in ways.items() if value != "by"})
            for name, ways in raw["clauses"].items()
        }
        grammar = cls(
            attributes={name: tuple(values) for name, values in raw["attributes"].items()},
            clauses=clauses,
            phrases={name: tuple(forms) for name, forms in raw["phrases"].items()},
            templates=tuple(raw["templates"]),
        )
        grammar._check(str(path))
        return grammar

    def draw(self, rng: np.random.Generator, split: Split = "all") -> Prompt:
        """A prompt. split: "held_out" has one of the attribute combinations that `splits.yaml` keeps for evaluation."""
        for _ in range(DRAW_TRIES):
            attributes = {name: _pick(values, rng) for name, values in self.attributes.items()}
            if is_in_split(load_splits().is_held_out_prompt(attributes), split):
                return Prompt(self.say(attributes, rng), attributes)
        raise ValueError(f"prompts: no combination of the split {split!r} in {DRAW_TRIES} draws")

    def say(self, attributes: Mapping[str, str], rng: np.random.Generator) -> str:
        """One of the sentences that describe these attributes; ValueError names one that is missing or unknown."""
        for name, values in self.attributes.items():
            if attributes.get(name) not in values:
                raise ValueError(f"prompts: {name} is {attributes.get(name)!r}, expected one of {', '.join(values)}")
        text = _pick(self.templates, rng)
        # A template's slots are filled by clauses, whose slots are filled by attributes.
        for _ in range(2):
            text = text.format(**{slot: self._fill(slot, attributes, rng) for slot in _slots(text)})
        return ARTICLE.sub(r"\1n ", text)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Every word and punctuation mark that a prompt can hold, lower case, sorted."""
        forms = [*self.templates, *itertools.chain(*self.phrases.values(), *self.attributes.values())]
        for _, ways in self.clauses.values():
            forms += itertools.chain(*ways.values())
        return tuple(sorted({"an", *(word for form in forms for word in words(re.sub(r"\{\w+\}", " ", form)))}))

    def _fill(self, slot: str, attributes: Mapping[str, str], rng: np.random.Generator) -> str:
        if slot in self.attributes:
            return attributes[slot]
        if slot in self.phrases:
            return _pick(self.phrases[slot], rng)
        by, ways = self.clauses[slot]
        return _pick(ways[attributes[by]], rng)

    def _check(self, where: str) -> None:
        known = {*self.attributes, *self.phrases, *self.clauses}
        forms = [*self.templates]
        for name, (by, ways) in self.clauses.items():
            if by not in self.attributes:
                raise ValueError(f"prompts {where}: clause {name} is by {by!r}, which is no attribute")
            missing = [value for value in self.attributes[by] if value not in ways]
            if missing:
                raise ValueError(f"prompts {where}: clause {name} does not say {', '.join(missing)}")
            forms += itertools.chain(*ways.values())
        if undressed := sorted(UNCLOTHED.intersection(self.vocabulary)):
            raise ValueError(f"prompts {where}: says {', '.join(undressed)}; people are drawn dressed")
        unknown = sorted({slot for form in forms for slot in _slots(form)} - known)
        if unknown:
            raise ValueError(
                f"prompts {where}: nothing fills {', '.join(unknown)}; known are {', '.join(sorted(known))}"
            )


def words(text: str) -> list[str]:
    """The words and punctuation marks of a sentence, lower case: what a word-level tokenizer sees."""
    return WORD.findall(text.lower())


def _slots(form: str) -> list[str]:
    return [slot for _, slot, _, _ in Formatter().parse(form) if slot]


def _pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
