"""The registry of experiments: what each asks, where its code is, what it needs. Reading it imports nothing heavy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from mrtlab.lab.names import UnknownName


@runtime_checkable
class Cell(Protocol):
    """A frozen dataclass with a readable label, which becomes a file name, and the seed of its randomness."""

    seed: int

    @property
    def label(self) -> str:
        """Short name, unique within the experiment, of letters, digits and hyphens."""
        ...


@dataclass(frozen=True)
class Table:
    """Headline numbers for people: a title, column names, rows of text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Body:
    """What an experiment does.

    Attributes:
        cells: scale -> the cells of a run.
        run_cell: cell -> JSON-able result; must depend on the cell alone.
        summarise: [(cell, result), …] in the order of `cells` -> results of the artifact.
        table: results -> headline numbers.
    """

    cells: Callable[[str], Sequence[Any]]
    run_cell: Callable[[Any], dict[str, Any]]
    summarise: Callable[[Sequence[tuple[Any, dict[str, Any]]]], dict[str, Any]]
    table: Callable[[dict[str, Any]], Table]


class MissingInput(RuntimeError):  # noqa: N818 - reads as a sentence where it is caught
    """An experiment needs something that is not on this machine; the message says what, and how to get it."""


@dataclass(frozen=True)
class Experiment:
    """An entry of the registry; reading it imports nothing heavy.

    Attributes:
        name: what to call it on the command line.
        purpose: the question, in one line.
        load: imports and returns the body.
        sources: modules whose text decides what a cell gives; editing one makes finished cells stale.
        needs: packages of the `lm` extra that it uses.
    """

    name: str
    purpose: str
    load: Callable[[], Body]
    sources: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def about_model(self) -> bool:
        """Is it about a language model that can be chosen, see `mrtlab.lab.subject`?

        >>> EXPERIMENTS["callings_grid"].about_model, EXPERIMENTS["mode_lottery"].about_model
        (True, False)
        """
        return _SUBJECT in self.sources


def _body(module: str, summary: str = "") -> Callable[[], Body]:
    """A loader of an experiment: `module` has its cells, `summary`, if it is a room of its own, what they add up to."""

    def load() -> Body:
        work = import_module(f"mrtlab.lab.{module}")
        end = import_module(f"mrtlab.lab.{summary or module}")
        return Body(cells=work.cells, run_cell=work.run_cell, summarise=end.summarise, table=end.table)

    return load


_SELECTION = ("mrtlab.theory.selection", "mrtlab.theory.greedy", "mrtlab.theory.greedy_compiled")
_SELECTION_BIAS = (
    "mrtlab.lab.selection_bias",
    "mrtlab.lab.selectors",
    "mrtlab.lab.gradients",
    "mrtlab.lab.mdn",
    "mrtlab.theory.worlds",
    *_SELECTION,
)
_SUBJECT = "mrtlab.lab.subject"  # read by every experiment whose model can be chosen
_CALLINGS = (
    _SUBJECT,
    "mrtlab.lab.callings_run",
    "mrtlab.lab.callings_data",
    "mrtlab.data.tasks.callings",
    "mrtlab.training.multiresponse",
    "mrtlab.training.groups",
)
_DIFFUSE = (
    _SUBJECT,
    "mrtlab.lab.diffuse_data",
    "mrtlab.lab.diffuse_learn",
    "mrtlab.training.diffuse_methods",
    "mrtlab.training.aimed",
)
_SPA = (
    _SUBJECT,
    "mrtlab.lab.spa_data",
    "mrtlab.lab.spa_world",
    "mrtlab.spa.adapters",
)


EXPERIMENTS: dict[str, Experiment] = {
    "mode_lottery": Experiment(
        name="mode_lottery",
        purpose="Does test loss vary less over retrainings when K rises, at equal training pairs too? (MRT-05)",
        load=_body("mode_lottery", "mode_lottery_summary"),
        sources=("mrtlab.lab.mode_lottery", "mrtlab.lab.mdn", "mrtlab.theory.worlds"),
        needs=("torch",),
    ),
    "mode_portraits": Experiment(
        name="mode_portraits",
        purpose="What four retrainings say about one fresh prompt, K = 1 and K = 8, as densities (chapter 1)",
        load=_body("mode_portraits"),
        sources=("mrtlab.lab.mode_portraits", "mrtlab.lab.mode_lottery", "mrtlab.lab.mdn", "mrtlab.theory.worlds"),
        needs=("torch",),
    ),
    "selection_bias": Experiment(
        name="selection_bias",
        purpose="Which of 32 answers to keep: bias, variance and direction of the gradient (MRT-06, 07, 08)",
        load=_body("selection_bias", "selection_bias_summary"),
        sources=_SELECTION_BIAS,
        needs=("torch",),
    ),
    "gradient_similarity": Experiment(
        name="gradient_similarity",
        purpose="Do answers that look alike pull the network the same way? (MRT-10)",
        load=_body("gradient_similarity"),
        sources=("mrtlab.lab.gradient_similarity", *_SELECTION_BIAS),
        needs=("torch",),
    ),
    "greedy_quality": Experiment(
        name="greedy_quality",
        purpose="How close greedy selection comes to the best set, hostile pools included (MRT-09)",
        load=_body("greedy_quality"),
        sources=("mrtlab.lab.greedy_quality", *_SELECTION),
    ),
    "biased_generator": Experiment(
        name="biased_generator",
        purpose="What a table learns from kept answers when the generator favours one of three (MRT-11)",
        load=_body("biased_generator"),
        sources=("mrtlab.lab.biased_generator", "mrtlab.lab.selectors", *_SELECTION),
    ),
    "variance_law": Experiment(
        name="variance_law",
        purpose="Does the variance of a fixed model's loss follow the law, and where is it least? (MRT-01, MRT-02)",
        load=_body("variance_law", "variance_law_summary"),
        sources=(
            "mrtlab.lab.variance_law",
            "mrtlab.lab.gradient_law",
            "mrtlab.lab.mdn",
            "mrtlab.theory.worlds",
        ),
        needs=("torch",),
    ),
    "budget_mdn": Experiment(
        name="budget_mdn",
        purpose="Which K trains best at a fixed cost, and at a fixed number of pairs? (MRT-03, MRT-04)",
        load=_body("budget_mdn"),
        sources=("mrtlab.lab.budget_mdn", "mrtlab.lab.mode_lottery", "mrtlab.lab.mdn", "mrtlab.theory.worlds"),
        needs=("torch",),
    ),
    "redundancy": Experiment(
        name="redundancy",
        purpose="Do paraphrased prompts act like responses, and where do responses pay most? (MRT-17, MRT-18)",
        load=_body("redundancy", "redundancy_summary"),
        sources=(
            "mrtlab.lab.redundancy",
            "mrtlab.lab.lottery_gain",
            "mrtlab.lab.variance_law",
            "mrtlab.lab.mode_lottery",
            "mrtlab.lab.mdn",
            "mrtlab.theory.worlds",
        ),
        needs=("torch",),
    ),
    "crossover": Experiment(
        name="crossover",
        purpose="Learn or choose: fine-tuning against best-of-N on bit strings, over n and T (BON-01 to BON-07)",
        load=_body("crossover", "crossover_summary"),
        sources=(
            "mrtlab.lab.crossover",
            "mrtlab.theory.learn_or_choose",
            "mrtlab.theory.bitstrings",
            "mrtlab.theory.gf2",
        ),
    ),
    "bandit_race": Experiment(
        name="bandit_race",
        purpose="Where does the mass go: fresh data, reuse and negative gradients on 100 arms (PRF-01 to PRF-10)",
        load=_body("bandit_race", "bandit_race_summary"),
        sources=(
            "mrtlab.lab.bandit_race",
            "mrtlab.theory.race",
            "mrtlab.theory.bandit",
            "mrtlab.theory.objectives",
            "mrtlab.theory.pair_objectives",
            "mrtlab.theory.policy_objectives",
            "mrtlab.theory.signed_weights",
            "mrtlab.theory.distributions",
        ),
    ),
    "meet_model": Experiment(
        name="meet_model",
        purpose="What the embedded model says a thousand times, its exact law, and its numbers family by family",
        load=_body("meet_model"),
        sources=(
            _SUBJECT,
            "mrtlab.lab.meet_model",
            "mrtlab.lm.survey",
            "mrtlab.lm.evaluate",
            "mrtlab.lm.gate",
            "mrtlab.lm.sampling",
        ),
        needs=("torch", "transformers"),
    ),
    "callings_grid": Experiment(
        name="callings_grid",
        purpose="K = 1 to 16 in the embedded model: equal epochs, updates and pairs (MRT-12, 13, 14, 19b)",
        load=_body("callings_grid", "callings_grid_summary"),
        sources=("mrtlab.lab.callings_grid", *_CALLINGS),
        needs=("torch", "transformers"),
    ),
    "callings_budget": Experiment(
        name="callings_budget",
        purpose="Which K trains best for the same tokens, and do the variances foretell it? (MRT-03b)",
        load=_body("callings_budget"),
        sources=(
            "mrtlab.lab.callings_budget",
            "mrtlab.training.variances",
            "mrtlab.training.sketch",
            *_CALLINGS,
        ),
        needs=("torch", "transformers"),
    ),
    "callings_clusters": Experiment(
        name="callings_clusters",
        purpose="Do wordings act like responses in the embedded model, and where do responses pay? (MRT-17b, 18b)",
        load=_body("callings_clusters"),
        sources=("mrtlab.lab.callings_clusters", *_CALLINGS),
        needs=("torch", "transformers"),
    ),
    "callings_keep": Experiment(
        name="callings_keep",
        purpose="Does learning callings cost the embedded model its facts, and what protects them? (chapter 6)",
        load=_body("callings_keep"),
        sources=("mrtlab.lab.callings_keep", "mrtlab.training.adapter", *_CALLINGS),
        needs=("torch", "transformers", "peft"),
    ),
    "callings_selectors": Experiment(
        name="callings_selectors",
        purpose="Random, softmax, top, diverse, both: which K of 32 to train on (MRT-11b, 15, 16)",
        load=_body("callings_selectors"),
        sources=(
            "mrtlab.lab.callings_selectors",
            "mrtlab.training.choose",
            "mrtlab.data.similarity",
            *_CALLINGS,
            *_SELECTION,
        ),
        needs=("torch", "transformers"),
    ),
    "diffuse_transfer": Experiment(
        name="diffuse_transfer",
        purpose="How far do a few even prompts reach, and what do they cost? (DIF-01 to 05, 07, 10)",
        load=_body("diffuse_transfer", "diffuse_transfer_summary"),
        sources=("mrtlab.lab.diffuse_transfer", "mrtlab.training.anchor", *_DIFFUSE),
        needs=("torch", "transformers", "peft"),
    ),
    "diffuse_methods": Experiment(
        name="diffuse_methods",
        purpose="Ways to an even law at equal steps, and without training (DIF-06, 12 to 16)",
        load=_body("diffuse_methods"),
        sources=("mrtlab.lab.diffuse_methods", "mrtlab.lm.reshaped", "mrtlab.training.diffuse_rules", *_DIFFUSE),
        needs=("torch", "transformers", "peft"),
    ),
    "diffuse_film": Experiment(
        name="diffuse_film",
        purpose="What the embedded model says after every pass while it is taught to be even (chapter 7)",
        load=_body("diffuse_film"),
        sources=("mrtlab.lab.diffuse_film", *_DIFFUSE),
        needs=("torch", "transformers", "peft"),
    ),
    "diffuse_keep": Experiment(
        name="diffuse_keep",
        purpose="Does being taught evenness harm coherence: is other text still as likely? (DIF-10c)",
        load=_body("diffuse_keep"),
        sources=(
            "mrtlab.lab.diffuse_keep",
            "mrtlab.lab.diffuse_texts",
            "mrtlab.training.anchor",
            "mrtlab.training.mixing",
            *_DIFFUSE,
        ),
        needs=("torch", "transformers", "peft"),
    ),
    "diffuse_biographies": Experiment(
        name="diffuse_biographies",
        purpose="Even beginnings of lives: other fields, parity, worth of the data (DIF-08, 08b, 09, 09b)",
        load=_body("diffuse_biographies", "diffuse_biographies_summary"),
        sources=(
            _SUBJECT,
            "mrtlab.lab.diffuse_biographies",
            "mrtlab.lab.diffuse_biographies_data",
            "mrtlab.lab.diffuse_biographies_look",
            "mrtlab.lab.diffuse_biographies_worth",
            "mrtlab.lab.diffuse_data",
            "mrtlab.lab.diffuse_learn",
            "mrtlab.training.diffuse",
            "mrtlab.training.anchor",
            "mrtlab.data.tasks.biographies",
        ),
        needs=("torch", "transformers", "peft"),
    ),
    "spa_adapters": Experiment(
        name="spa_adapters",
        purpose="Adapters on parts of the data: how right, how different, and is it the parts? (SPA-01 to 13)",
        load=_body("spa_adapters", "spa_adapters_summary"),
        sources=(
            "mrtlab.lab.spa_adapters",
            "mrtlab.lab.spa_arms",
            "mrtlab.spa.partition",
            "mrtlab.spa.clusters",
            "mrtlab.spa.influence",
            *_SPA,
        ),
        needs=("torch", "transformers", "peft", "sklearn", "rank_bm25"),
    ),
    "spa_parts": Experiment(
        name="spa_parts",
        purpose="What parts have in common: a subject, an answer, or the size of a gradient (chapter 8)",
        load=_body("spa_parts"),
        sources=(
            "mrtlab.lab.spa_parts",
            "mrtlab.lab.spa_arms",
            "mrtlab.spa.partition",
            "mrtlab.spa.clusters",
            "mrtlab.spa.influence",
            *_SPA,
        ),
        needs=("torch", "transformers", "peft", "sklearn", "rank_bm25"),
    ),
    "spa_share": Experiment(
        name="spa_share",
        purpose="How right is an adapter after part of the data? (SPA-03)",
        load=_body("spa_share"),
        sources=("mrtlab.lab.spa_share", *_SPA),
        needs=("torch", "transformers", "peft"),
    ),
    "spa_map": Experiment(
        name="spa_map",
        purpose="What a flat map of gradients keeps: directions, neighbours, parts (chapter 8)",
        load=_body("spa_map"),
        sources=("mrtlab.lab.spa_map", "mrtlab.spa.partition", "mrtlab.spa.influence", *_SPA),
        needs=("torch", "transformers", "peft"),
    ),
    "spa_decode": Experiment(
        name="spa_decode",
        purpose="Eight adapters in one batch beside one after another (SPA-12)",
        load=_body("spa_decode"),
        sources=(_SUBJECT, "mrtlab.lab.spa_decode", "mrtlab.spa.stacked"),
        needs=("torch", "transformers", "peft"),
    ),
    "spa_lds": Experiment(
        name="spa_lds",
        purpose="Which scores foretell what training on half of the data does? Retraining says (SPA-09)",
        load=_body("spa_lds"),
        sources=(_SUBJECT, "mrtlab.lab.spa_lds", "mrtlab.spa.gradients", "mrtlab.spa.influence", "mrtlab.spa.lissa"),
        needs=("torch", "transformers", "peft", "rank_bm25"),
    ),
    "mrt_scale": Experiment(
        name="mrt_scale",
        purpose="Several answers against one, pairs and steps matched, on a model of your own (chapter 10)",
        load=_body("mrt_scale"),
        sources=("mrtlab.lab.mrt_scale", "mrtlab.training.fine_tune", "mrtlab.training.multiresponse"),
        needs=("torch", "transformers", "peft"),
    ),
    "diffuse_scale": Experiment(
        name="diffuse_scale",
        purpose="Even numbers and names, and how far that reaches, on a model of your own (chapter 10)",
        load=_body("diffuse_scale"),
        sources=("mrtlab.lab.diffuse_scale", "mrtlab.lab.diffuse_data", "mrtlab.training.diffuse_run"),
        needs=("torch", "transformers", "peft"),
    ),
    "spa_scale": Experiment(
        name="spa_scale",
        purpose="Eight adapters on parts of the data, on a model of your own (chapter 10)",
        load=_body("spa_scale"),
        sources=("mrtlab.lab.spa_scale", "mrtlab.lab.spa_data", "mrtlab.spa.adapters", "mrtlab.spa.rules"),
        needs=("torch", "transformers", "peft", "sklearn"),
    ),
    "step_cost": Experiment(
        name="step_cost",
        purpose="Is a training step's time and memory foretold by arithmetic? (Which card, how long, how much)",
        load=_body("step_cost"),
        sources=(
            "mrtlab.lab.step_cost",
            "mrtlab.training.estimate",
            "mrtlab.training.estimate_trace",
            "mrtlab.lm.cost",
        ),
        needs=("torch", "transformers", "peft"),
    ),
    "published": Experiment(
        name="published",
        purpose="Do the authors' published losses fall along 1/K or along log K? (MRT-19)",
        load=_body("published"),
        sources=("mrtlab.lab.published", "mrtlab.lab.stats"),
    ),
}


def find(name: str) -> Experiment:
    """The experiment of this name.

    Raises:
        UnknownName: there is none; the message suggests the nearest names.

    >>> find("mode_lottery").needs
    ('torch',)
    """
    if name not in EXPERIMENTS:
        raise UnknownName("experiment", name, EXPERIMENTS)
    return EXPERIMENTS[name]
