"""One training run of chapter 6: the embedded model learns callings and is examined exactly along the way."""

import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float

from mrtlab.data.records import Record
from mrtlab.data.tasks import Question, family, words
from mrtlab.data.tasks.callings import judge
from mrtlab.lab import subject
from mrtlab.lab.callings_data import Exam
from mrtlab.theory.distributions import entropy

LR = 1e-3  # best of .0005, .001, .002 in a first look at K = 16 and K = 1, 256 updates; the same for every run
_WARM_UP = 20  # one update in so many
DRAWS = 16  # of coverage and best-of-N: the paper's number
_N_FACTS = 60
_CHOOSING, _OTHER = 0, 1  # judges: one scores the candidates, the other never saw them


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and in what steps.

    Attributes:
        updates: steps of AdamW, the learning rate falling from its peak to 0 along half a cosine.
        batch: records in a step.
        lr: the peak.
        rank: of an adapter on all linear layers, all that is trained then; None trains every weight.
        marks: updates after which the exam is sat, 0 for before; the last one is always among them.
        frames: how many times along the run the portraits are looked at; 0 for never.
    """

    updates: int
    batch: int
    lr: float = LR
    rank: int | None = None
    marks: tuple[int, ...] = ()
    frames: int = 0


def learn(
    records: Sequence[Record],
    exam: Exam,
    schedule: Schedule,
    *,
    seed: int,
    afterwards: Callable[[Any, Any], dict[str, Any]] = lambda model, tokenizer: {},
) -> dict[str, Any]:
    """Fine-tune the embedded model on these records.

    Args:
        records: what is shown.
        exam: what is asked along the way.
        schedule: how long, in what steps, and when the exam is sat.
        seed: of the order.
        afterwards: given the trained model and its tokenizer, finds more to return.

    Returns:
        marks: [{step, validation (KL, nats), and the numbers of `marks_of` on the test questions}, …];
        portraits: {step: [[p(job), …] for each portrait]}; the last step is always there;
        facts: before and after, nll and right of facts the model knew, and logp of each, nats.
    """
    from transformers import PrinterCallback, TrainingArguments

    from mrtlab.training.adapter import with_adapter
    from mrtlab.training.choose import Choice
    from mrtlab.training.multiresponse import MultiResponseConfig, MultiResponseTrainer

    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        model, tokenizer = subject.load()
        if schedule.rank:
            model = with_adapter(model, rank=schedule.rank, seed=seed)
        examiner = _examiner(model, tokenizer, exam, schedule)
        before = examiner.facts()
        args = TrainingArguments(
            output_dir=folder,
            max_steps=schedule.updates,
            per_device_train_batch_size=schedule.batch,
            learning_rate=schedule.lr,
            lr_scheduler_type="cosine",
            warmup_steps=schedule.updates // _WARM_UP,
            weight_decay=0.0,
            save_strategy="no",
            logging_strategy="no",
            seed=seed,
            use_cpu=subject.on_cpu(),
            dataloader_pin_memory=False,
            disable_tqdm=True,
            report_to="none",
        )
        trainer = MultiResponseTrainer(
            model,
            args,
            records=records,
            tokenizer=tokenizer,
            config=MultiResponseConfig(choice=Choice(rule="all")),
            callbacks=[examiner],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        return {
            "marks": examiner.marks,
            "portraits": examiner.portraits,
            "facts": {"before": before, "after": examiner.facts()},
        } | afterwards(model, tokenizer)


def marks_of(truth: Float[np.ndarray, "questions jobs"], logp: Float[np.ndarray, "questions jobs"]) -> dict[str, float]:
    """Means over questions of what a model's law says beside the truth, all exact.

    nll (nats, of an answer drawn from the truth), kl (nats), mass (on jobs), shape_kl (nats, among jobs), coverage
    (chance that an answer drawn from the truth is among 16 draws of the model), diversity (chance that two draws
    differ), reward and other (what the choosing judge, and one who chose nothing, think of a draw), best (the other
    judge's mean best of 16 draws). From diversity on, among jobs.
    """
    mass = np.exp(logp).sum(1)
    shape = np.exp(logp) / mass[:, None]
    reward, other = judge(words.JOBS, seed=_CHOOSING), judge(words.JOBS, seed=_OTHER)
    kl = (truth * (np.log(truth) - logp)).sum(1)
    per_question = {
        "nll": entropy(truth) + kl,
        "kl": kl,
        "mass": mass,
        "shape_kl": kl + np.log(mass),
        "coverage": (truth * -np.expm1(DRAWS * np.log1p(-np.minimum(np.exp(logp), 1 - 1e-12)))).sum(1),
        "diversity": 1 - (shape**2).sum(1),
        "reward": shape @ reward,
        "other": shape @ other,
        "best": _best_of(shape, other, DRAWS),
    }
    return {name: float(values.mean()) for name, values in per_question.items()}


def _best_of(p: Float[np.ndarray, "questions jobs"], reward: np.ndarray, n: int) -> Float[np.ndarray, "questions"]:
    """Mean reward of the best of n draws: Σ r_i (F_iⁿ − F_{i−1}ⁿ) over rewards in rising order."""
    order = np.argsort(reward)
    below = np.cumsum(p[:, order], axis=1) ** n
    return (np.diff(below, axis=1, prepend=0.0) * reward[order]).sum(1)


def _examiner(model: Any, tokenizer: Any, exam: Exam, schedule: Schedule) -> Any:
    """A callback of the trainer that sits the exam at the schedule's marks."""
    from transformers import TrainerCallback

    from mrtlab.lm.evaluate import listed_logprobs

    every = max(1, schedule.updates // schedule.frames) if schedule.frames else schedule.updates  # the last step
    marks = {*schedule.marks, schedule.updates}

    def law(questions: Sequence[Question], answers: Sequence[Sequence[str]]) -> list[np.ndarray]:
        training = model.training
        model.eval()
        found = listed_logprobs(model, tokenizer, [(q.text, a) for q, a in zip(questions, answers, strict=True)])
        model.train(training)
        return found

    def jobs(questions: Sequence[Question]) -> Float[np.ndarray, "questions jobs"]:
        return np.array(law(questions, [words.JOBS] * len(questions)))

    class Examiner(TrainerCallback):
        def __init__(self) -> None:
            self.marks: list[dict[str, float]] = []
            self.portraits: dict[int, list[list[float]]] = {}
            self.look(0)
            if 0 in marks:
                self.sit(0)

        def look(self, step: int) -> None:
            self.portraits[step] = np.exp(jobs(exam.portraits)).round(4).tolist()

        def sit(self, step: int) -> None:
            found = jobs((*exam.validation, *exam.test))
            n = len(exam.validation)
            validation = marks_of(exam.truths(exam.validation), found[:n])["kl"]
            test = marks_of(exam.truths(exam.test), found[n:])
            self.marks.append({"step": step, "validation": validation} | test)

        def facts(self) -> dict[str, Any]:
            asked, answers = facts()
            logp = np.array([found[0] for found in law(asked, answers)])
            return {"nll": float(-logp.mean()), "right": right(logp), "logp": logp.round(3).tolist()}

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            step = state.global_step
            if step % every == 0 or step == schedule.updates:
                self.look(step)
            if step in marks:
                self.sit(step)

    return Examiner()


def right(logp: Sequence[float] | np.ndarray) -> float:
    """Share of facts whose answer has more than half of the mass, so that nothing else can be likelier."""
    return float((np.asarray(logp) > np.log(0.5)).mean())


@cache
def facts() -> tuple[list[Question], list[tuple[str, ...]]]:
    """Facts the model was taught, the same in every run; each has one answer."""
    known = family("facts")
    asked = known.questions(_N_FACTS, rng=np.random.default_rng(66))
    return asked, [known.truth(question).answers for question in asked]
