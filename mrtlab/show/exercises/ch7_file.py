"""Chapter 7, even answers: a targets file of one's own, read as `mrtlab targets check` reads it."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mrtlab.data.records import RecordError, prompt_text
from mrtlab.data.targets import Target, Targets
from mrtlab.data.targets_io import load_targets
from mrtlab.show.exercises.exercise import Exercise, Feedback
from mrtlab.show.exercises.grading import show

_MOST = 99  # throws that a prompt may speak of
_NEAR = 1e-3  # a probability may be rounded


@dataclass(frozen=True, kw_only=True)
class FileCheck:
    """Grade the text of a targets file: throws of a coin, with what the prompts need.

    Attributes:
        trained: numbers of throws that must be trained.
        hint: shown before any answer.
        why: one sentence on why the right answer is right.
        carry_on: something to try next.
        slips: kinds of mistake, each with the hint for it; `{prompt}` stands for the prompt it is about.
    """

    trained: Sequence[int]
    hint: str
    why: str
    carry_on: str
    slips: tuple[tuple[str, str], ...]

    def __call__(self, answer: Any) -> Feedback:
        """Feedback on an answer of any type."""
        if answer is ...:
            return Feedback("not answered yet", self.hint)
        if not isinstance(answer, str):
            return Feedback("not yet", f"Expected the text of a file, got `{show(answer)}`. `json.dumps` makes it.")
        try:
            found = _read(answer)
        except RecordError as error:
            return Feedback("not yet", str(error))
        problem = self._problem(found)
        return Feedback("not yet", problem) if problem else Feedback("right", self.why, self.carry_on)

    def _problem(self, found: Targets) -> str:
        """The hint for the first thing that is off; empty if nothing is."""
        hints = dict(self.slips)
        for target in found.targets:
            if kind := _wrong_law(target):
                return hints[kind].format(prompt=show(prompt_text(target.prompt)))
        learned = {_throws(target) for target in found.trained}
        others = {_throws(target) for target in found.targets} - learned
        if missing := [n for n in self.trained if n not in learned]:
            return hints["missing"].format(n=missing[0])
        if not others:
            return hints["measure"]
        return "" if found.anchors else hints["anchor"]


def _read(text: str) -> Targets:
    """What a file with that text holds; problems are told of "your file"."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "targets.json"
        path.write_text(text, "utf-8", errors="replace")
        try:
            return load_targets(path)
        except RecordError as error:
            raise RecordError(str(error).replace(str(path), "your file")) from None


def _throws(target: Target) -> int:
    """The one number in a prompt, 0 if there is none or more than one."""
    numbers = re.findall("[0-9]+", prompt_text(target.prompt))
    return int(numbers[0]) if len(numbers) == 1 and len(numbers[0]) < 5 else 0


def _wrong_law(target: Target) -> str:
    """What is wrong with a target's law, the name of a slip; empty if it is Binomial(n, ½) on the answers 0 to n."""
    n = _throws(target)
    if not 1 <= n <= _MOST:
        return "number"
    if set(target.answers) != {str(heads) for heads in range(n + 1)}:
        return "answers"
    law = {answer: p for answer, p in zip(target.answers, target.law.tolist(), strict=True)}
    if all(abs(law[str(heads)] - comb(n, heads) / 2**n) <= _NEAR for heads in range(n + 1)):
        return ""
    return "even" if max(law.values()) - min(law.values()) < _NEAR else "law"


def _file(use: str = "measure", anchors: Sequence[str] = ("Name a city.",), weight: Any = comb, last: int = 5) -> str:
    """A right file, or with an argument a wrong one."""
    entries = [
        {"prompt": f"Toss a coin {n} times. How many heads?", "responses": {str(k): weight(n, k) for k in range(n + 1)}}
        for n in (2, 3, 4, last)
    ]
    return json.dumps({"targets": [*entries[:3], entries[3] | {"use": use}], "anchors": list(anchors)})


_OWN_TARGET = Exercise(
    id="ch7.own_target",
    title="A targets file of your own",
    difficulty=3,
    minutes=20,
    text=r"""
Not every law is even. Toss a fair coin $n$ times: heads come $k$ times with probability $\binom{n}{k} / 2^n$. The law
depends on $n$, and what a law depends on is part of the prompt: one entry for each case.

Write a targets file for that, in JSON: entries for 2, 3 and 4 tosses to train, at least one entry for another number of
tosses with `"use": "measure"`, and at least one anchor of your choice. The wording is yours, but each prompt names the
number of tosses in digits, and no other number; the answers are `"0"`, `"1"` and so on. An entry looks like this:

```json
{"prompt": "Throw a bent coin.", "responses": {"heads": 3, "tails": 1}, "use": "measure"}
```

The numbers are weights and need not sum to 1. The whole file is `{"targets": [entries], "anchors": [texts]}`. Hand in
its text; the check reads it as `mrtlab targets check` does.
""",
    stub="""
import json
from math import comb

from mrtlab.show.exercises import check

text = ...
check("ch7.own_target", text)
""",
    solution="""
import json
from math import comb

from mrtlab.show.exercises import check

def entry(n, use):
    weights = {str(heads): comb(n, heads) for heads in range(n + 1)}
    prompt = f"Toss a fair coin {n} times. How many heads?"
    return {"prompt": prompt, "responses": weights, "use": use}
entries = [entry(n, "train") for n in (2, 3, 4)] + [entry(5, "measure")]
text = json.dumps({"targets": entries, "anchors": ["Name a city."]})
check("ch7.own_target", text)
""",
    check=FileCheck(
        trained=(2, 3, 4),
        hint="Build a list of entries in Python and let `json.dumps` write it. `comb(n, k)` is the weight of k heads.",
        why="The file says what should come how often, what is only looked at, and what must stay as it is: all that "
        "`mrtlab train diffuse` has to know.",
        carry_on="Carry on: write the text into coins.json, and run `mrtlab targets check coins.json --model embedded` "
        "and `mrtlab train diffuse --targets coins.json --out coins`. Does the entry that was measured only get nearer "
        "its law?",
        slips=(
            ("number", "`{prompt}` should name the number of tosses in digits, from 1 to 99, and no other number."),
            ("answers", "The answers to `{prompt}` should be 0 up to the number of tosses, as texts, each of them."),
            ("even", "The target of `{prompt}` is even. Heads are not: one in two tosses is likelier than none."),
            ("law", "The target of `{prompt}` is not that of a fair coin. `comb(n, k)` is the weight of k heads."),
            ("missing", "There is no entry to train for {n} tosses."),
            ("measure", "Every number of tosses is trained. Add one for which the entry has the use `measure`."),
            ("anchor", "There is no anchor. Add a prompt whose answers should stay as they are."),
        ),
    ),
    mistakes=(
        (lambda: _file(weight=lambda n, k: 1), "is even"),
        (lambda: _file(weight=lambda n, k: k + 1), "not that of a fair coin"),
        (lambda: _file(use="train"), "Every number of tosses is trained"),
        (lambda: _file(anchors=()), "no anchor"),
        (lambda: _file(last=2), "the prompt of line 1 again"),
        (lambda: _file().replace("3 times", "three times"), "in digits"),
        (lambda: _file().replace('"4": 1}', '"four": 1}'), "as texts"),
        (lambda: json.dumps({"targets": json.loads(_file())["targets"][2:], "anchors": ["Hello?"]}), "for 2 tosses"),
        (lambda: _file()[:-1], "not valid JSON"),
        (lambda: json.loads(_file()), "`json.dumps` makes it"),
    ),
)

EXERCISES = (_OWN_TARGET,)
