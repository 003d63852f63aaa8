"""What the token tree's explorable computes and says: the twin of ``tree.js``, on the package's own tree.

NumPy only: `mrtlab.lm.tree` and `mrtlab.lm.layout` know nothing of models.
"""

import re

import numpy as np

from mrtlab.lm.layout import row_layout
from mrtlab.lm.tree import TokenTree
from mrtlab.show.explorables.common import Data, State, Table, Value, fixed

MOST_PROMPT, MOST_ANSWERS, MOST_STEPS = 24, 12, 12  # tokens of the prompt, answers, tokens of each; the rest is cut
MOST_FED = MOST_PROMPT + MOST_ANSWERS * MOST_STEPS
END = "⏎"
_END_ID = 0  # not a token that can be typed: somebody may type ⏎
_BLANKS = re.compile(r"[ \t\r\n\u00a0\u3000]+")
_BETWEEN = re.compile(r"[\n,;]+")

EXAMPLE: dict[str, Value] = {
    "prompt": "Name a fruit :",
    "answers": "a ripe apple\na ripe pear\na plum\na plum",
}
EXAMPLES: tuple[dict[str, Value], ...] = (
    {"prompt": "Flip a coin :", "answers": "heads\ntails", "by": "words", "at": 5},
    {
        "prompt": "Here is a long letter from a friend , with many words . In one word , what is it about ?",
        "answers": "love\nmoney\nfootball\nlove , again",
        "by": "words",
        "at": 23,
    },
    {"prompt": "1 to 12 :", "answers": "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12", "by": "characters", "at": 10},
    {"prompt": "A month:", "answers": "january\njune\njuly\nmarch\nmay", "by": "characters", "at": 11},
    {"prompt": "Good", "answers": "morning\nmorning to you\nmorning to all\nnight", "by": "words", "at": 3},
)
EDGES: tuple[dict[str, Value], ...] = (
    *EXAMPLES,
    {"answers": "a ripe apple"},  # one answer: nothing to share
    {"answers": "a plum\na plum\na plum\na plum"},  # one answer, four times
    {"answers": "a plum\na plum tree\na"},  # beginnings of one another
    {"answers": "plum; pear, fig\n\n ,;"},  # every way to separate, and nothing between
    {"prompt": " \t ", "answers": " ;, \n"},
    {"prompt": "x", "answers": "y", "at": 0},
    {"prompt": "<b>bold</b> & 'co'", "answers": "<img src=x onerror=alert(1)>\n</script><script>alert(1)</script>"},
    {"prompt": "what / # ? % + : & = é 水 🍎", "answers": "🍎🍎, 水 果 / + %20\n#tree:at=1", "at": 13},
    {"prompt": "typed ⏎", "answers": "⏎\n⏎ ⏎", "at": 4},
    {"prompt": "word " * 40, "answers": "\n".join(f"answer {i} " + "and on " * 8 for i in range(9)), "at": 60},
    {"prompt": "x" * 100, "answers": "\n".join(f"{i:x} longer than a line" for i in range(16)), "by": "characters"},
)


def tokens_of(text: str, by: str) -> list[str]:
    """Words, or characters with a sign for the space.

    >>> tokens_of(" a  plum ", "words"), tokens_of(" a  b", "characters")
    (['a', 'plum'], ['a', '␣', 'b'])
    """
    words = [word for word in _BLANKS.split(text) if word]
    return words if by == "words" else ["␣" if char == " " else char for char in " ".join(words)]


def tree(state: State) -> Data:
    """The tree of a typed prompt and its answers, its mask, and what goes through the model.

    Args:
        state: prompt, answers (separated by line breaks, commas or semicolons), by (words or characters), at (which
            fed token is lit, counted from 1; 0 for none).

    Returns:
        the numbers behind the figure: tokens of the prompt; the edges in the tree's order, each with the answers it
        is part of; the fed tokens with their positions and, for the mask, where what follows them ends (place q may
        look at place k if k ≤ q < end[k]); tokens fed as a tree and with a copy of the prompt for each answer; what
        was cut, and what is missing.

    >>> data = tree({"prompt": "a fruit :", "answers": "ripe plum, ripe fig, fig", "by": "words", "at": 0})
    >>> data["n_fed"], data["n_apart"], data["positions"]  # 3 of the prompt, then ripe, plum, fig and the other fig
    (7, 14, [0, 1, 2, 3, 4, 4, 3])
    """
    by = state["by"]
    prompt = tokens_of(state["prompt"], by)
    answers = [tokens_of(answer, by) for answer in _BETWEEN.split(state["answers"])]
    answers = [answer for answer in answers if answer]
    kept = [answer[:MOST_STEPS] for answer in answers[:MOST_ANSWERS]]
    cut = len(prompt) > MOST_PROMPT or kept != answers
    prompt = prompt[:MOST_PROMPT]
    missing = [name for name, found in (("prompt", prompt), ("answers", kept)) if not found]
    if missing:
        empty = {"prompt": prompt, "edges": [], "fed": [], "positions": [], "end": [], "lengths": []}
        return empty | {"n_fed": 0, "n_apart": 0, "ratio": 0, "at": 0, "cut": cut, "missing": missing}

    names = list(dict.fromkeys([END, *(f"·{token}" for answer in [prompt, *kept] for token in answer)]))
    ids = {name: number for number, name in enumerate(names)}
    built = TokenTree.build(
        [ids[f"·{token}"] for token in prompt],
        [[*(ids[f"·{token}"] for token in answer), _END_ID] for answer in kept],
    )
    layout = row_layout([built])
    through: list[list[int]] = [[] for _ in range(built.n_edges)]
    for number, path in enumerate(built.paths(), 1):
        for edge in path:
            through[edge].append(number)
    said = [names[token].removeprefix("·") for token in built.token]
    return {
        "prompt": prompt,
        "edges": [
            {"token": said[e], "parent": int(built.parent[e]), "depth": int(built.depth[e]), "answers": through[e]}
            for e in range(built.n_edges)
        ],
        "fed": np.flatnonzero(built.fed).tolist(),
        "positions": layout.positions[0].tolist(),
        "end": layout.end[0].tolist(),
        "lengths": np.diff(built.offset).tolist(),
        "n_fed": built.n_fed,
        "n_apart": built.n_fed_apart,
        "ratio": built.n_fed_apart / built.n_fed,
        "at": min(state["at"], built.n_fed),
        "cut": cut,
        "missing": [],
    }


def _different(data: Data) -> int:
    """Answers that differ: each is an edge that ends one."""
    return len(data["edges"]) - len(data["fed"])


def _lesson(data: Data) -> str:
    n_answers, n_different = len(data["lengths"]), _different(data)
    if data["cut"]:
        return (
            f"Your text is longer: only {MOST_PROMPT} tokens of the prompt, {MOST_ANSWERS} answers and "
            f"{MOST_STEPS} tokens of each are used."
        )
    if n_answers == 1:
        return "One answer is a tree without a branch: nothing to save."
    if n_different == 1:
        return f"All {n_answers} answers are the same: each is scored, one is computed."
    fed = set(data["fed"])
    ended, going_on = (
        {edge["parent"] for e, edge in enumerate(data["edges"]) if (e in fed) is kind} for kind in (False, True)
    )
    if ended & going_on:
        return "An answer that begins another one costs nothing more: only its end ⏎ is its own."
    equal = "Equal answers are computed once. " if n_different < n_answers else ""
    return f"{equal}The longer the prompt, the nearer to {n_answers} times."


def tree_sentence(data: Data, state: State) -> str:
    """The line under the tree, as HTML; never holds what was typed."""
    if data["missing"]:
        wanted = {"prompt": "a prompt, the trunk", "answers": "at least one answer, a branch"}
        return f"There is no tree yet. Type {' and '.join(wanted[name] for name in data['missing'])}."
    return (
        f"As a tree, <b>{data['n_fed']} tokens</b> go through the model. With a copy of the prompt for each answer it "
        f"would be <b>{data['n_apart']}</b>, <b>{fixed(data['ratio'], 1)} times</b> as many. {_lesson(data)}"
    )


def _tokens(data: Data) -> list[str]:
    """The fed tokens in the order in which they are fed."""
    return [*data["prompt"], *(data["edges"][edge]["token"] for edge in data["fed"])]


def _seen(data: Data, place: int) -> list[int]:
    return [k for k in range(place + 1) if data["end"][k] > place]


def tree_alt(data: Data, state: State) -> str:
    """What a reader who cannot see the tree is told."""
    if data["missing"]:
        return f"No tree: the {' and the '.join(data['missing'])} field is empty."
    tokens, place = _tokens(data), data["at"] - 1
    shown = ", ".join(f"{token} {position}" for token, position in zip(tokens, data["positions"], strict=True))
    lit = ""
    if place >= 0:
        seen = " ".join(tokens[k] for k in _seen(data, place))
        lit = f" Lit: {tokens[place]}, which looks at: {seen}."
    return (
        f"Token tree of a prompt with {len(data['prompt'])} tokens and {len(data['lengths'])} answers, "
        f"{_different(data)} of them different. Tokens in the order in which they are fed, with their positions: "
        f"{shown}.{lit} Each looks at the prompt up to itself, at the tokens before it on its own branch, and at "
        "itself."
    )


def tree_table(data: Data, state: State) -> Table:
    """Every token of the tree: whose it is, where it stands, whom it looks at."""
    columns = ["token", "part of", "position", "looks at"]
    rows = [
        [token, "the prompt", str(place), f"{place + 1} tokens" if place else "itself"]
        for place, token in enumerate(data["prompt"])
    ]
    places = {edge: len(data["prompt"]) + i for i, edge in enumerate(data["fed"])}
    for number, edge in enumerate(data["edges"]):
        whose = f"answer{'s' if len(edge['answers']) > 1 else ''} {', '.join(map(str, edge['answers']))}"
        position = len(data["prompt"]) + edge["depth"] - 1
        looks = f"{len(_seen(data, places[number]))} tokens" if number in places else "not fed"
        rows.append([edge["token"], whose, str(position), looks])
    return {"columns": columns, "rows": rows}
