"""What a bundle's files do not say, asked of whoever brings it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from inference.errors import BundleRefused, UnknownName


@dataclass(frozen=True)
class Question:
    """One thing to be decided."""

    key: str
    """By which it is answered beforehand: ``--set key=value``."""
    text: str
    choices: tuple[str, ...] = ()
    """Empty: anything."""
    default: str = ""
    """Empty: it must be answered."""


Ask = Callable[[Question], str]
"""Asks a person; returns an empty text where nobody can be asked."""

KEYS = (
    "modality", "kind", "activation", "findings", "weights", "size", "colour", "channels", "preprocessing",
    "configuration",
)  # fmt: skip
"""Of every question there is."""


class Answers:
    """Answers given beforehand, then a person's, then defaults; unanswered questions are said all at once."""

    def __init__(self, given: Mapping[str, str], ask: Ask = lambda _: "") -> None:
        """Take what is known.

        Raises:
            UnknownName: it answers no question there is.
        """
        for key in given:
            if key not in KEYS:
                raise UnknownName(f"There is no question {key!r}.", cure=f"There are: {', '.join(KEYS)}.")
        self._given = given
        self._ask = ask
        self._open: list[Question] = []
        self._known: dict[str, str] = {}
        self.assumed: dict[str, str] = {}
        """Keys that got their default unasked, with it."""

    def is_given(self, key: str) -> bool:
        """Whether a question was answered beforehand."""
        return bool(self._given.get(key))

    def answer(self, question: Question) -> str:
        """Return the answer to a question, asked once; of one that is left open, its first choice.

        Raises:
            BundleRefused: the answer is none of the choices.
        """
        if question.key not in self._known:
            self._known[question.key] = self._answered(question)
        return self._known[question.key]

    def _answered(self, question: Question) -> str:
        answer = self._given.get(question.key) or self._ask(question)
        if answer and question.choices and answer not in question.choices:
            raise BundleRefused(f"{question.key} = {answer!r} is not one of {', '.join(question.choices)}.")
        if answer:
            return answer
        if question.default:
            self.assumed[question.key] = question.default
            return question.default
        self._open.append(question)
        return question.choices[0] if question.choices else ""

    def raise_open(self, name: str) -> None:
        """Refuse to go on where a question is open.

        Raises:
            BundleRefused: lists every open question.
        """
        if self._open:
            lines = "".join(
                f"\n  - --set {question.key}=...: {question.text}"
                + (f" ({', '.join(question.choices)})" if question.choices else "")
                for question in self._open
            )
            raise BundleRefused(f"{name} does not say everything that its manifest needs:{lines}")
