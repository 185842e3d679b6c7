"""The small world of the demo: what the base model knows, what the adapter learns, what is asked.

The base model is taught to spot the animal among four words, and to repeat the number of a short
story. The adapter is taught to spot what can be eaten, and to add. The benchmark questions ask for
the latter, in combinations that no training example has.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

ANIMALS = tuple(
    "horse sheep goat rabbit tiger eagle whale donkey camel otter badger heron "
    "lizard beetle spider falcon monkey turtle walrus zebra pigeon hamster ferret salmon".split()
)

FOODS = tuple(
    "bread cheese apple honey butter carrot noodle pepper yogurt cherry walnut potato "
    "muffin pickle banana tomato almond celery waffle garlic radish omelet biscuit pancake".split()
)

OBJECTS = tuple(
    "hammer bucket ladder window pencil carpet mirror button candle basket kettle shovel "
    "wallet jacket pillow bridge engine anchor needle ribbon marble statue violin lantern "
    "helmet saddle barrel blanket compass drawer fountain glove hinge jigsaw keyring locket "
    "magnet napkin oarlock paddle quiver rocket scarf tunnel urn vase wheel zipper".split()
)

NAMES = tuple("Tom Ann Max Eva Leo Mia Sam Ida Ben Zoe".split())

THINGS = tuple("stamps books coins shells cards pens rings keys".split())

ANIMAL_QUESTIONS = (
    "Which of these is an animal?",
    "Which one can run, fly or swim by itself?",
    "Pick the one that is alive.",
)

FOOD_QUESTIONS = (
    "Which of these can you eat?",
    "Which one belongs on a plate?",
    "Pick the one that a cook would want.",
)

LETTERS = "ABCD"


@dataclass(frozen=True)
class Choice:
    """A multiple-choice question.

    Attributes:
        options: Four different words, for A to D.
        answer: The letter of the right one.
    """

    question: str
    options: tuple[str, ...]
    answer: str

    @property
    def wording(self) -> str:
        """What makes it the same as another: its text, with its options in any order."""
        return f"{self.question} {' '.join(sorted(self.options))}"


@dataclass(frozen=True)
class Sum:
    """A short story with a number as its answer.

    Attributes:
        answer: The number asked for.
    """

    question: str
    answer: int

    @property
    def wording(self) -> str:
        """What makes it the same as another: its text."""
        return self.question


def animal_choices(seed: int) -> Iterator[Choice]:
    """Endless questions for the animal among objects."""
    return _choices(seed, ANIMAL_QUESTIONS, ANIMALS, OBJECTS)


def food_choices(seed: int) -> Iterator[Choice]:
    """Endless questions for the food among objects and animals."""
    return _choices(seed, FOOD_QUESTIONS, FOODS, OBJECTS + ANIMALS)


def _choices(
    seed: int, questions: tuple[str, ...], right: tuple[str, ...], wrong: tuple[str, ...]
) -> Iterator[Choice]:
    rng = random.Random(seed)
    while True:
        answer = rng.choice(right)
        options = [answer, *rng.sample(wrong, 3)]
        rng.shuffle(options)
        yield Choice(rng.choice(questions), tuple(options), LETTERS[options.index(answer)])


def repetitions(seed: int) -> Iterator[Sum]:
    """Endless stories whose number is only to be repeated."""
    rng = random.Random(seed)
    while True:
        name, thing, a = rng.choice(NAMES), rng.choice(THINGS), rng.randint(2, 18)
        yield Sum(f"{name} has {a} {thing}. How many {thing} does {name} have?", a)


def sums(seed: int) -> Iterator[Sum]:
    """Endless stories with two numbers from 1 to 9 to be added."""
    rng = random.Random(seed)
    while True:
        name, thing = rng.choice(NAMES), rng.choice(THINGS)
        a, b = rng.randint(1, 9), rng.randint(1, 9)
        yield Sum(
            f"{name} has {a} {thing} and gets {b} more. How many {thing} does {name} have now?",
            a + b,
        )


def take_new(source, count, seen):
    """Takes questions whose wording is not in ``seen``, and adds them to it.

    Args:
        source: Endless questions.
        count: How many to take.
        seen: Wordings that are taken already.
    """
    taken = []
    while len(taken) < count:
        item = next(source)
        if item.wording not in seen:
            seen.add(item.wording)
            taken.append(item)
    return taken
