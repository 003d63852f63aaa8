"""What Python knows of each explorable: its controls, its words, its twin, and the vectors it is tested with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mrtlab.show.explorables import (
    twins,
    twins_bins,
    twins_budget,
    twins_crossover,
    twins_parts,
    twins_race,
    twins_selection,
    twins_target,
    twins_tree,
)
from mrtlab.show.explorables.common import Data, State, Table, Value
from mrtlab.show.explorables.control import Control


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What Python knows of one explorable.

    Attributes:
        module: its file in ``show/js``.
        title: its claim, true at every setting.
        caption: one sentence on how to read it.
        controls: its state, one number or text each.
        compute, sentence, alt, table: its twin, see `twins`.
        edges: settings that are lessons; the parity vectors include them.
        examples: settings that "Surprise me" picks from, where each control by itself would give nonsense.
        given: measured numbers that its module needs, as the constant `GIVEN`; None if it needs none.
    """

    module: str
    title: str
    caption: str
    controls: tuple[Control, ...]
    compute: Callable[[State], Data]
    sentence: Callable[[Data, State], str]
    alt: Callable[[Data, State], str]
    table: Callable[[Data, State], Table]
    edges: tuple[dict[str, Value], ...]
    examples: tuple[dict[str, Value], ...] = ()
    given: Callable[[], dict[str, Any]] | None = None

    @property
    def default(self) -> dict[str, Value]:
        """The state that the figure opens with."""
        return {control.key: control.default for control in self.controls}

    def state(self, given: Mapping[str, object]) -> dict[str, Value]:
        """The default state with these values in it; ValueError for an unknown key or a value off the scale."""
        known = {control.key: control for control in self.controls}
        for key in given:
            if key not in known:
                listed = ", ".join(f"{control.key} ({control.allowed})" for control in self.controls)
                raise ValueError(f"{key!r} is no control of this explorable: it has {listed}")
        return self.default | {key: known[key].check(value) for key, value in given.items()}


_ANSWERS = "Valid answers"
_RATIO = "Each next answer is"
_PER_PROMPT = "Answers per prompt, K"
_RATIO_OF_VARIANCES = "Variance within ÷ between"

REGISTRY: dict[str, Entry] = {
    "lottery": Entry(
        module="lottery.js",
        title="One prompt, several valid answers. The model that sees one answer remembers one.",
        caption="Outlined: how likely each answer truly is. Filled: what the model says after training. "
        "Press the button and watch what it remembers; then let it see more answers.",
        controls=(
            Control(key="k", label="Answers shown, K", min=1, max=16, step=1, default=1),
            Control(key="n", label=_ANSWERS, min=2, max=8, step=1, default=5),
            Control(key="d", label=_RATIO, min=0.3, max=1.0, step=0.05, default=1.0),
            # Seed 1 is the first seed, not one that was picked for its picture.
            Control(key="seed", label="Seed", min=1, max=9999, step=1, default=1, hidden=True),
            Control(
                key="trainings", label="Trainings", min=1, max=9999, step=1, default=24, hidden=True, surprise=False
            ),
        ),
        compute=twins.lottery,
        sentence=twins.lottery_sentence,
        alt=twins.lottery_alt,
        table=twins.lottery_table,
        edges=(
            {"k": 16, "n": 2},
            {"k": 16, "n": 8, "d": 0.3},
            {"k": 4, "trainings": 300, "seed": 9999},
            {"n": 2, "trainings": 1},
            {"d": 0.3, "n": 3, "seed": 77},
        ),
    ),
    "coverage": Entry(
        module="coverage.js",
        title="The first answers come cheap, the last ones are dear",
        caption="How many different answers K independent draws are expected to show. Solid: the world you set. "
        "Dashed: the same number of answers, all equally likely.",
        controls=(
            Control(key="k", label="Answers drawn, K", min=1, max=twins.MOST, step=1, default=8),
            Control(key="n", label=_ANSWERS, min=2, max=20, step=1, default=5),
            Control(key="d", label=_RATIO, min=0.3, max=1.0, step=0.05, default=0.5),
            Control(key="b", label="Generator’s pet answer", min=0.0, max=1.0, step=0.05, default=0.0),
        ),
        compute=twins.coverage,
        sentence=twins.coverage_sentence,
        alt=twins.coverage_alt,
        table=twins.coverage_table,
        edges=(
            {"d": 1.0},
            {"k": 1},
            {"k": 64, "n": 20, "d": 0.3},
            {"b": 1.0},
            {"b": 0.95, "d": 0.3, "n": 20},
            {"n": 2, "d": 1.0, "k": 1},
        ),
    ),
    "budget": Entry(
        module="budget.js",
        title="One budget, many data sets: few prompts with many answers, or many prompts with few",
        caption="The curve: variance of the estimated loss for every way to spend the budget; shaded, within 5\u00a0% "
        "of the best. The blocks: what you buy, a grey one for the price of each prompt and a square for each answer.",
        controls=(
            Control(key="k", label=_PER_PROMPT, min=1, max=32, step=1, default=1),
            Control.of(200, 300, 400, 600, 800, 1200, 1600, key="b", label="Budget, B", default=400),
            Control.of(0, 0.5, 1, 2, 4, 8, 12, 20, key="c", label="A prompt costs", default=4),
            Control.of(0, 0.1, 0.5, 1, 2, 4, 7, 15, 30, key="v", label=_RATIO_OF_VARIANCES, default=7),
        ),
        compute=twins_budget.budget,
        sentence=twins_budget.budget_sentence,
        alt=twins_budget.budget_alt,
        table=twins_budget.budget_table,
        edges=(
            {"k": 5},
            {"c": 0, "k": 8},
            {"v": 0, "c": 20},
            {"v": 0, "c": 0, "k": 32},
            {"v": 0.5, "c": 4, "k": 2},  # K = 1 and 2 tie exactly
            {"v": 30, "c": 20, "k": 24},
            {"b": 1600, "c": 0.5, "v": 0.1},
        ),
    ),
    "variance": Entry(
        module="variance.js",
        title="More answers remove one part of the variance. The other part waits for more prompts.",
        caption="The variance of the estimated loss, stacked by where it comes from. Bars: what you have now, and what "
        "twice the answers or twice the prompts would leave.",
        controls=(
            Control(key="k", label=_PER_PROMPT, min=1, max=32, step=1, default=8),
            Control.of(100, 150, 200, 300, 400, key="n", label="Prompts, Nₚ", default=100),
            Control.of(0.1, 0.5, 1, 2, 5, 10, 30, key="v", label=_RATIO_OF_VARIANCES, default=5),
            Control(key="s", label="Answers are alike, s̄", min=0.0, max=1.0, step=0.05, default=0.0),
        ),
        compute=twins_budget.variance,
        sentence=twins_budget.variance_sentence,
        alt=twins_budget.variance_alt,
        table=twins_budget.variance_table,
        edges=(
            {"k": 1, "s": 0.5},
            {"k": 32, "s": 1.0},
            {"k": 32, "v": 0.1, "n": 400},
            {"k": 16, "v": 30, "s": 0.2},
        ),
    ),
    "selection": Entry(
        module="selection.js",
        title="Which answers to keep: the best ones may all say the same",
        caption="Each dot is a candidate answer; close dots say similar things, large ones have a high reward. "
        "Numbers give the order in which answers are kept; a line ties every candidate to the kept one most like it.",
        controls=(
            Control(key="k", label="Answers kept, K", min=1, max=8, step=1, default=4),
            Control(key="alpha", label="Weight of the reward, α", min=0.0, max=4.0, step=0.25, default=0.75),
            Control.of(*twins_selection.RULES, key="by", label="Keep them by", default="quality-diversity"),
            Control(key="seed", label="Seed", min=1, max=9999, step=1, default=1, hidden=True),
            Control(key="draw", label="Draw", min=1, max=9999, step=1, default=1, hidden=True, surprise=False),
        ),
        compute=twins_selection.selection,
        sentence=twins_selection.selection_sentence,
        alt=twins_selection.selection_alt,
        table=twins_selection.selection_table,
        edges=(
            {"by": "best", "k": 8},
            {"by": "best", "k": 1},
            {"by": "random", "k": 1, "draw": 7},
            {"by": "random", "k": 8, "seed": 77},
            {"by": "diverse", "k": 8, "seed": 500},
            {"alpha": 0.0, "k": 8, "seed": 3},
            {"alpha": 4.0, "k": 8, "seed": 3},
            {"alpha": 2.0, "seed": 12},
        ),
    ),
    "bins": Entry(
        module="bins.js",
        title="Six methods, three bins: each moves the mass its own way",
        caption="A softmax policy over three answers. Filled: its mass now; the arrow starts where it was. Press a "
        "button and watch what rises, what falls and what nobody asked to move.",
        controls=(
            Control.of(*twins_bins.METHODS, key="method", label="Method", default="dpo"),
            Control.of(0.001, 0.01, 0.05, 0.2, 0.4, key="rare", label="Good starts at", default=0.05),
            Control(key="steps", label="Steps", min=0, max=twins_bins.MOST, step=1, default=1),
        ),
        compute=twins_bins.bins,
        sentence=twins_bins.bins_sentence,
        alt=twins_bins.bins_alt,
        table=twins_bins.bins_table,
        edges=(
            *({"method": method, "steps": 20} for method in twins_bins.METHODS),
            {"method": "imitate", "steps": 200},
            {"method": "best-of-n", "steps": 200, "rare": 0.001},
            {"method": "reinforce", "steps": 200, "rare": 0.001},
            {"method": "reverse", "steps": 200, "rare": 0.001},
            {"method": "forward", "steps": 200},
            {"method": "dpo", "steps": 200, "rare": 0.4},
        ),
    ),
    "race": Entry(
        module="race.js",
        title="Four rules, one start, 100 arms: old data takes imitation to a ceiling, fresh data past it",
        caption="Lines: expected reward, step by step; dotted, the ceiling: what one round of best-of-10 reaches. "
        "Filled: where one rule’s mass is. Steps are plain, exact and equally large; with Adam and drawn "
        "answers, as in the experiment, the same rules move at other speeds.",
        controls=(
            Control(key="peak", label="The reward peaks at", min=0, max=99, step=1, default=70),
            Control(key="steps", label="Steps", min=0, max=twins_race.MOST, step=1, default=200, surprise=False),
            Control.of(*twins_race.RULES, key="rule", label="Show the mass of", default="old"),
        ),
        compute=twins_race.race,
        sentence=twins_race.race_sentence,
        alt=twins_race.race_alt,
        table=twins_race.race_table,
        edges=(
            {"peak": 20},  # where the reference policy is
            {"peak": 20, "rule": "gradient", "steps": 1},
            {"rule": "gradient", "steps": 60},
            {"rule": "pairs", "steps": 40},
            {"rule": "fresh", "steps": 12},
            {"peak": 87, "rule": "gradient"},  # the spike on arm 99 wins
            {"peak": 6, "rule": "gradient"},  # the spike on arm 0 wins
            {"peak": 99, "rule": "pairs"},
            {"peak": 0, "rule": "fresh"},
        ),
    ),
    "crossover": Entry(
        module="crossover.js",
        title="Learning does not feel the length of a reply. Choosing does.",
        caption="Our own model, bit strings without noise. Learning: n right strings leave one rule with chance "
        "1 − 2⁻ⁿ, if T ≥ 8. Choosing: a perfect verifier picks among N strings whose T bits are each right with "
        "chance c.",
        controls=(
            Control(key="t", label="Length, T", min=8, max=64, step=4, default=48),
            Control(key="n", label="Strings to learn from, n", min=1, max=12, step=1, default=4),
            Control.of(1, 4, 16, 64, 256, 1024, 4096, key="m", label="Candidates, N", default=64),
            Control.of(0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, key="c", label="A bit is right, c", default=0.9),
        ),
        compute=twins_crossover.crossover,
        sentence=twins_crossover.crossover_sentence,
        alt=twins_crossover.crossover_alt,
        table=twins_crossover.crossover_table,
        edges=(
            {"t": 8, "n": 1},
            {"c": 0.99, "m": 4096, "n": 12},  # choosing wins at every length
            {"c": 0.5, "m": 1, "t": 64, "n": 12},
            {"m": 1, "n": 1, "t": 8},
            {"n": 12, "m": 4096, "t": 64},
            {"c": 0.95, "t": 16, "m": 1024},
        ),
    ),
    "tree": Entry(
        module="tree.js",
        title="A prompt and its answers are a tree: what they share is computed once",
        caption="Grey: the prompt. Blue: the answers, shared beginnings once; one column is one position. ⏎ ends an "
        "answer: it is asked for, never fed. The square: row by row, whom each token may look at.",
        controls=(
            Control.text(key="prompt", label="Prompt", default=twins_tree.EXAMPLE["prompt"], length=200),
            Control.text(
                key="answers", label="Answers, one a line", default=twins_tree.EXAMPLE["answers"], length=600, lines=5
            ),
            Control.of("words", "characters", key="by", label="Tokens are", default="words"),
            Control(key="at", label="Light a token", min=0, max=twins_tree.MOST_FED, step=1, default=8, surprise=False),
        ),
        compute=twins_tree.tree,
        sentence=twins_tree.tree_sentence,
        alt=twins_tree.tree_alt,
        table=twins_tree.tree_table,
        edges=twins_tree.EDGES,
        examples=twins_tree.EXAMPLES,
    ),
    "target": Entry(
        module="target.js",
        title="Drag the target: every answer is pulled by what it has too much or too little",
        caption="Asked for a random number from 1 to 10. Filled: what the model says. Outlined: the target p*, yours "
        "to drag. Below, each leaf’s gradient p − p*; then plain steps of size 1 on these eleven logits, not on a "
        "network.",
        controls=(
            Control.of(*twins_target.TARGETS, key="target", label="Target", default="even"),
            Control(key="steps", label="Training steps", min=0, max=twins_target.MOST, step=1, default=0),
            Control.of(0, 0.2, 0.5, 0.8, key="off", label="Off the list at first", default=0),
            Control.of(0.05, 0.1, 0.2, 0.5, 1, key="stop", label="Early stop, γ", default=0.2),
            replace(Control.text(key="own", label="Your own target", default=twins_target.OWN, length=60), hidden=True),
        ),
        compute=twins_target.target_training,
        sentence=twins_target.target_sentence,
        alt=twins_target.target_alt,
        table=twins_target.target_table,
        edges=twins_target.EDGES,
        examples=twins_target.EXAMPLES,
        given=twins_target.given,
    ),
    "parts": Entry(
        module="parts.js",
        title="Drag a query, and pairs change hands. How even the parts are depends on what you do to the scores.",
        caption="Marks: training pairs, where their gradients point; close marks are mostly one program. Lettered: "
        "queries, yours to drag. A pair’s score is its product with the query, and the largest score has it.",
        controls=(
            Control(key="k", label="Queries, K", min=2, max=len(twins_parts.LETTERS), step=1, default=8),
            Control.of(*twins_parts.HOW, key="how", label="Scores", default="raw"),
            replace(Control.text(key="at", label="Places of the queries", default="", length=100), hidden=True),
        ),
        compute=twins_parts.parts,
        sentence=twins_parts.parts_sentence,
        alt=twins_parts.parts_alt,
        table=twins_parts.parts_table,
        edges=twins_parts.EDGES,
        examples=twins_parts.EXAMPLES,
        given=twins_parts.given,
    ),
}


def find(name: str) -> Entry:
    """The registry's entry of this name; ValueError with the known names when there is none."""
    if name not in REGISTRY:
        extra = "; for a question to the reader call predict(…)" if name == "predict" else ""
        raise ValueError(f"no explorable is called {name!r}: known are {', '.join(sorted(REGISTRY))}{extra}")
    return REGISTRY[name]


def parity_vectors(name: str) -> list[dict[str, Any]]:
    """States of an explorable with everything its twin says about them, for the browser test.

    Returns:
        one {"state", "data", "sentence", "alt", "table"} each for the default, both ends of every control,
        and the settings in `Entry.edges`.

    Raises:
        ValueError: an unknown name.
    """
    entry = find(name)
    ends = [{control.key: end} for control in entry.controls for end in (control.min, control.max)]
    vectors = []
    for given in [{}, *ends, *entry.edges]:
        state = entry.state(given)
        data = entry.compute(state)
        said = {part: getattr(entry, part)(data, state) for part in ("sentence", "alt", "table")}
        vectors.append({"state": state, "data": data, **said})
    return vectors
