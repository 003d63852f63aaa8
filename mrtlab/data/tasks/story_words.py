"""The words of the stories, and how often each tone uses them. Written for this book."""

from mrtlab.data.tasks.grammar import Alternative, shares

TONES = ("merry", "sad", "strange", "calm")
TELLERS = ("narrator", "witness")  # one who tells what happened, and one who was there
TOPICS = (
    "boat", "cat", "dog", "fox", "horse", "mouse", "bear", "frog", "goat", "whale", "lamp", "clock", "bell", "train",
    "kite", "tree", "house", "mirror", "letter", "robot", "king", "dragon", "ghost", "bird",
)  # fmt: skip

# Only consonants first, so that "a" fits.
_LOOKS = {
    "merry": {"happy": 3, "golden": 2, "small": 2, "new": 1},
    "sad": {"lonely": 3, "broken": 2, "small": 2, "cold": 1},
    "strange": {"silver": 3, "whispering": 2, "small": 1, "cold": 2},
    "calm": {"quiet": 3, "soft": 2, "small": 2, "new": 1},
}
_PLACES = {
    "merry": {"in the garden": 4, "on the hill": 2, "by the sea": 2, "under the moon": 1},
    "sad": {"by the sea": 4, "on the hill": 2, "in the garden": 1, "under the moon": 1},
    "strange": {"under the moon": 4, "on the hill": 2, "by the sea": 1, "in the garden": 1},
    "calm": {"on the hill": 3, "by the sea": 3, "under the moon": 2, "in the garden": 2},
}
_TURNS = {
    "merry": {"It sang.": 3, "It danced all day.": 3, "It laughed.": 2, "It hummed.": 1},
    "sad": {"It cried.": 3, "Nobody came.": 3, "It waited.": 2, "It sang.": 1},
    "strange": {"It had two shadows.": 3, "It spoke backwards.": 3, "It waited.": 1, "It hummed.": 1},
    "calm": {"It slept.": 3, "It watched the clouds.": 3, "It waited.": 2, "It hummed.": 2},
}
_ENDINGS = {
    ("merry", "narrator"): {"Everyone cheered.": 3, "The village danced.": 2, "The sun came out.": 1},
    ("merry", "witness"): {"I laughed.": 3, "I clapped.": 2, "I smiled.": 1},
    ("sad", "narrator"): {"Winter came.": 3, "The rain fell.": 2, "It was forgotten.": 1},
    ("sad", "witness"): {"I wept.": 3, "I went home.": 2, "I said goodbye.": 1},
    ("strange", "narrator"): {"The clocks stopped.": 3, "The stars turned green.": 2, "The rain fell.": 1},
    ("strange", "witness"): {"I forgot my name.": 3, "I ran away.": 2, "I went home.": 1},
    ("calm", "narrator"): {"The night was still.": 3, "The rain fell.": 2, "The sun came out.": 1},
    ("calm", "witness"): {"I smiled.": 3, "I went home.": 2, "I sat down.": 1},
}
_OWN_OPENING = 0.7  # the share of openings that give the teller away
_TWO_SENTENCES = 0.4  # the others have three


def rules(topic: str, tone: str, teller: str) -> dict[str, tuple[Alternative, ...]]:
    """The grammar's rules once topic, tone and teller are settled.

    >>> rules("boat", "sad", "witness")["<opening>"][0]
    (0.7, ('I saw a ', '<look>', ' boat ', '<place>', '. '))
    """
    shared = ("There was a ", "<look>", f" {topic} ", "<place>", ". ")
    own = {
        "narrator": ("The ", "<look>", f" {topic} stood ", "<place>", ". "),
        "witness": ("I saw a ", "<look>", f" {topic} ", "<place>", ". "),
    }[teller]
    return {
        "<story>": (
            (_TWO_SENTENCES, ("<opening>", "<turn>")),
            (1 - _TWO_SENTENCES, ("<opening>", "<turn>", " ", "<ending>")),
        ),
        "<opening>": ((_OWN_OPENING, own), (1 - _OWN_OPENING, shared)),
        "<look>": shares(_LOOKS[tone]),
        "<place>": shares(_PLACES[tone]),
        "<turn>": shares(_TURNS[tone]),
        "<ending>": shares(_ENDINGS[tone, teller]),
    }
