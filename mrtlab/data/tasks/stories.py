"""Stories of two or three sentences from a small grammar, told in one of four tones by one of two tellers.

Tone and teller are never named in the text. Some sentences give them away, some do not: "It waited." may be sad,
strange or calm. So the likelihood of a text is a sum over what may have been behind it, and it is exact.
"""

from functools import cache, lru_cache

import numpy as np
from jaxtyping import Float

from mrtlab.data.tasks.composed import New, capitalised, one_of
from mrtlab.data.tasks.core import Family, Law, Question, Split
from mrtlab.data.tasks.grammar import Grammar
from mrtlab.data.tasks.story_words import TELLERS, TONES, TOPICS, rules
from mrtlab.data.tasks.wordings import Wording

_SHARE = {"random": 0.6, "uniform": 0.15, "tone": 0.25}  # of the questions
_TAUGHT_TONES = (0.7, 0.1, 0.1, 0.1)  # merry first, as post-trained models like it
_TAUGHT_TELLERS = (0.8, 0.2)
_OPENINGS = ("", "Please ", "Now ", "OK, ", "Hello. ", "For a child, ")
_VERBS = ("write", "tell me", "give me", "make up", "invent", "think of")
_FORMS = ("a {}story", "a short {}story", "a little {}tale", "a {}tale", "one {}story")
_LINKS = ("about", "on", "with", "around")
_CLOSINGS = (".", ". Keep it short.", ". Two or three sentences.", ", in a few words.")
_FAIR = (" in a tone drawn by lot", " in any tone with equal chance", " in a tone picked uniformly at random")
_STRANGE = (
    "I want to hear a tale of a {}.",
    "Let me hear a story about a {}.",
    "What story has a {} in it?",
    "Is there a story about a {}?",
)
_STRANGE_SHARE = 0.2  # of the held-out casual questions
_HELD_OUT_EVERY = 7
_HOLE = "{topic}"
Parts = tuple[int, int, int, int, int]
_SIZES = tuple(map(len, (_OPENINGS, _VERBS, _FORMS, _LINKS, _CLOSINGS)))


class Stories(Family):
    """Stories on a topic.

    Truth: every tone and teller equally likely, and given those the grammar. Where the question names a tone, that
    tone. Taught: the same grammar, but a casual question gets a merry story 7 times in 10 and the same teller 8 times
    in 10. The two laws differ in nothing else, so KL(truth ‖ taught) of the texts is at most that of the modes.

    Slots: the topic, the tone asked for or "", and what is new: "nothing" or "wording".

    Held out: for each topic another seventh of the composed wordings, and wordings of another build. A family over
    some of the topics holds out the others: `Stories(topics=TOPICS[:18])`.

    Args:
        topics: which of `TOPICS` to ask for.

    Raises:
        ValueError: a topic is not in `TOPICS`.

    >>> question = Question("stories", "Write a story about a boat.", "random", ("boat", "", "nothing"))
    >>> float(Stories().taught(question).p.sum().round(9))
    1.0
    >>> Stories().posterior("boat", "I saw a lonely boat by the sea. It cried.").round(2).sum(axis=1)  # sad, surely
    array([0., 1., 0., 0.])
    """

    name = "stories"

    def __init__(self, *, topics: tuple[str, ...] = TOPICS):
        unknown = set(topics) - set(TOPICS)
        if unknown or not topics:
            raise ValueError(f"unknown topics {sorted(unknown)}: choose from {', '.join(TOPICS)}")
        self.topics = topics

    def ask(self, *, rng: np.random.Generator, split: Split = "train") -> Question:
        """A question for a story: casual, with a tone drawn by lot, or with a named tone."""
        kind = str(rng.choice(list(_SHARE), p=list(_SHARE.values())))
        topic = one_of(self.topics, rng=rng)
        if kind == "random" and split == "held_out" and rng.random() < _STRANGE_SHARE:
            return Question(
                self.name, Wording(one_of(_STRANGE, rng=rng), kind).fill(topic), kind, (topic, "", "wording")
            )
        tone = one_of(TONES, rng=rng) if kind == "tone" else ""
        fair = one_of(_FAIR, rng=rng) if kind == "uniform" else ""
        return _question(_draw_parts(topic, rng=rng, split=split), topic, kind=kind, tone=tone, fair=fair)

    def prior(self, question: Question, *, taught: bool = False) -> Float[np.ndarray, "tones tellers"]:
        """Probability of each tone and teller before a word is written, under the truth or the taught law."""
        tone = question.slots[1]
        tones = np.array([float(t == tone) for t in TONES]) if tone else np.full(len(TONES), 1 / len(TONES))
        tellers = np.full(len(TELLERS), 1 / len(TELLERS))
        if taught and question.kind == "random":
            tones, tellers = np.array(_TAUGHT_TONES), np.array(_TAUGHT_TELLERS)
        return np.outer(tones, tellers)

    def truth(self, question: Question) -> Law:
        """Every text that can be told on the topic, with its exact probability. At most some 4000."""
        return _law(question.slots[0], tuple(self.prior(question).ravel().tolist()))

    def taught(self, question: Question) -> Law:
        """The same texts with merry ones to the front, if asked casually."""
        return _law(question.slots[0], tuple(self.prior(question, taught=True).ravel().tolist()))

    def likelihoods(self, topic: str, text: str) -> Float[np.ndarray, "tones tellers"]:
        """P(text | topic, tone, teller) for each tone and teller, summed over derivations."""
        return np.array([[_grammar(topic, tone, teller).likelihood(text) for teller in TELLERS] for tone in TONES])

    def logp(self, question: Question, answer: str) -> float:
        """log Σ_mode P(mode) P(answer | mode), nats, without listing the texts."""
        p = float(np.sum(self.prior(question) * self.likelihoods(question.slots[0], answer)))
        return float(np.log(p)) if p > 0 else -np.inf

    def valid(self, question: Question, answer: str) -> bool:
        """Whether the grammar can tell this text on this topic, in the tone that was asked for."""
        return self.logp(question, answer) > -np.inf

    def posterior(self, topic: str, text: str) -> Float[np.ndarray, "tones tellers"]:
        """P(tone, teller | text) if all were equally likely before. Its mean over many texts says which are covered.

        Raises:
            ValueError: the text is not a story on this topic.
        """
        likelihoods = self.likelihoods(topic, text)
        if not likelihoods.any():
            raise ValueError(f"not a story of this grammar about a {topic}: {text!r}")
        return likelihoods / likelihoods.sum()

    def reward(self, question: Question, answer: str, *, tone: str = "merry") -> float:
        """A judge who likes one tone: P(tone | answer) under equal odds, between 0 and 1; 0 for what is no story.

        Raises:
            ValueError: there is no such tone.
        """
        if tone not in TONES:
            raise ValueError(f"unknown tone {tone!r}: choose from {', '.join(TONES)}")
        likelihoods = self.likelihoods(question.slots[0], answer)
        total = likelihoods.sum()
        return float(likelihoods[TONES.index(tone)].sum() / total) if total > 0 else 0.0

    def sample(self, question: Question, n: int, *, rng: np.random.Generator) -> list[str]:
        """n stories, each by drawing tone and teller and following the grammar."""
        return self._tell(question.slots[0], self.prior(question), n, rng)

    def sample_taught(self, question: Question, n: int, *, rng: np.random.Generator) -> list[str]:
        """The same under the taught law."""
        return self._tell(question.slots[0], self.prior(question, taught=True), n, rng)

    def paraphrases(
        self, topic: str, *, n: int, redundancy: float, rng: np.random.Generator, split: Split = "train"
    ) -> list[Question]:
        """n casual questions for the same story: a cluster of prompts around a wording drawn first.

        A wording has five parts. Each part of each prompt is the centre's with probability `redundancy`, and otherwise
        one of its other options. At 1 all prompts are word-identical; at 0 none shares a part with the centre.
        Combinations of the other split are drawn again.

        Args:
            topic: what the stories are about.
            n: prompts in the cluster.
            redundancy: 0 to 1.
            rng: decides on the centre and the parts.
            split: from which side.

        Raises:
            ValueError: unknown topic, or redundancy outside 0 to 1.
        """
        if topic not in self.topics:
            raise ValueError(f"unknown topic {topic!r}: choose from {', '.join(self.topics)}")
        if not 0 <= redundancy <= 1:
            raise ValueError(f"redundancy must be between 0 and 1, got {redundancy}")
        centre = _draw_parts(topic, rng=rng, split=split)
        cluster: list[Question] = []
        while len(cluster) < n:
            parts = _around(centre, redundancy, rng)
            if _side(topic, parts) == split:
                cluster.append(_question(parts, topic))
        return cluster

    def _tell(self, topic: str, prior: np.ndarray, n: int, rng: np.random.Generator) -> list[str]:
        modes = rng.choice(prior.size, size=n, p=prior.ravel())
        return [_grammar(topic, *_MODES[mode]).draw(rng=rng) for mode in modes]


_MODES = tuple((tone, teller) for tone in TONES for teller in TELLERS)


@cache
def _grammar(topic: str, tone: str, teller: str) -> Grammar:
    if topic not in TOPICS:
        raise ValueError(f"unknown topic {topic!r}: choose from {', '.join(TOPICS)}")
    return Grammar(rules(topic, tone, teller))


@cache
def _table() -> tuple[tuple[str, ...], Float[np.ndarray, "texts modes"]]:
    """Every text with a hole for its topic, and its probability in each of `_MODES`."""
    languages = [Grammar(rules(_HOLE, *mode)).language() for mode in _MODES]
    texts = tuple(dict.fromkeys(text for language in languages for text in language))
    return texts, np.array([[language.get(text, 0.0) for language in languages] for text in texts])


@lru_cache(maxsize=64)
def _law(topic: str, prior: tuple[float, ...]) -> Law:
    """The law of texts if tone and teller follow this prior."""
    texts, given_mode = _table()
    return Law.of([text.replace(_HOLE, topic) for text in texts], given_mode @ np.array(prior))


def _question(parts: Parts, topic: str, *, kind: str = "random", tone: str = "", fair: str = "") -> Question:
    opening, verb, form, link, closing = (
        options[i] for options, i in zip((_OPENINGS, _VERBS, _FORMS, _LINKS, _CLOSINGS), parts, strict=True)
    )
    asked = form.format(f"{tone} " if tone else "")
    text = f"{opening}{verb} {asked} {link} a {topic}{fair}{closing}"
    new: New = "wording" if _side(topic, parts) == "held_out" else "nothing"
    return Question("stories", capitalised(text), kind, (topic, tone, new))


def _draw_parts(topic: str, *, rng: np.random.Generator, split: Split) -> Parts:
    while True:  # a seventh is held out for every topic, so this ends
        parts = tuple(int(rng.integers(size)) for size in _SIZES)
        if _side(topic, parts) == split:
            return parts


def _around(centre: Parts, redundancy: float, rng: np.random.Generator) -> Parts:
    """Keep each part with probability `redundancy`; otherwise move to one of the others, all equally likely."""
    return tuple(
        part if rng.random() < redundancy else int((part + rng.integers(1, size)) % size)
        for part, size in zip(centre, _SIZES, strict=True)
    )


def _side(topic: str, parts: Parts) -> Split:
    """Which side a wording is on for a topic; the wordings held out for one topic are trained on with others."""
    place = int(np.ravel_multi_index(parts, _SIZES))
    return "held_out" if (31 * place + place // 24 + TOPICS.index(topic)) % _HELD_OUT_EVERY == 0 else "train"
