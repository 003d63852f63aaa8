"""What Python knows of each explorable: its controls, its words, its twin, and the vectors it is tested with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mrtlab.show.explorables import twins


@dataclass(frozen=True, kw_only=True)
class Control:
    """One number of a figure's state: its slider, or a hidden value that a button changes.

    Attributes:
        key: its name in the state and in the page's address.
        label: what stands at the slider.
        min, max, step, default: the allowed values; all ints, or all floats.
        hidden: no slider.
        surprise: whether "Surprise me" may change it.
    """

    key: str
    label: str
    min: int | float
    max: int | float
    step: int | float
    default: int | float
    hidden: bool = False
    surprise: bool = True

    def check(self, value: object) -> int | float:
        """Return the value as the control's own type, or refuse it in one sentence.

        >>> Control(key="k", label="K", min=1, max=16, step=1, default=1).check(4.0)
        4
        """
        number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else float("nan")
        steps = (number - self.min) / self.step
        if not (self.min <= number <= self.max) or abs(steps - round(steps)) > 1e-9:
            raise ValueError(f"{self.key} = {value!r} is not a setting: expected {self.allowed}")
        return type(self.default)(number)

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        return f"{self.min} to {self.max} in steps of {self.step}"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What Python knows of one explorable.

    Attributes:
        module: its file in ``show/js``.
        title: its claim, true at every setting.
        caption: one sentence on how to read it.
        controls: its state, one number each.
        compute, sentence, alt, table: its twin, see `twins`.
        edges: settings that are lessons; the parity vectors include them.
    """

    module: str
    title: str
    caption: str
    controls: tuple[Control, ...]
    compute: Callable[[twins.State], twins.Data]
    sentence: Callable[[twins.Data, twins.State], str]
    alt: Callable[[twins.Data, twins.State], str]
    table: Callable[[twins.Data, twins.State], twins.Table]
    edges: tuple[dict[str, int | float], ...]

    @property
    def default(self) -> dict[str, int | float]:
        """The state that the figure opens with."""
        return {control.key: control.default for control in self.controls}

    def state(self, given: Mapping[str, object]) -> dict[str, int | float]:
        """The default state with these values in it; ValueError for an unknown key or a value off the scale."""
        known = {control.key: control for control in self.controls}
        for key in given:
            if key not in known:
                listed = ", ".join(f"{control.key} ({control.allowed})" for control in self.controls)
                raise ValueError(f"{key!r} is no control of this explorable: it has {listed}")
        return self.default | {key: known[key].check(value) for key, value in given.items()}


_ANSWERS = "Valid answers"
_RATIO = "Each next answer is"

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
