"""One value of a figure's state, as Python knows it: what it may be, and how the reader sets it."""

from dataclasses import dataclass

from mrtlab.show.explorables.common import Value


@dataclass(frozen=True, kw_only=True)
class Control:
    """One value of a figure's state: its slider, menu or text field, or a hidden value that a button changes.

    Attributes:
        key: its name in the state and in the page's address.
        label: what stands at the slider.
        min, max, step, default: the allowed values; all ints, or all floats.
        values: allowed values that no step reaches, in order; see `Control.of`. Words make a menu.
        length: characters that a text may have, see `Control.text`; 0 for all other controls.
        lines: more than one makes a text field in which line breaks can be typed.
        hidden: no slider.
        surprise: whether "Surprise me" may change it.
    """

    key: str
    label: str
    min: Value
    max: Value
    step: int | float
    default: Value
    hidden: bool = False
    surprise: bool = True
    values: tuple[Value, ...] = ()
    length: int = 0
    lines: int = 1

    @classmethod
    def of(cls, *values: Value, key: str, label: str, default: Value) -> "Control":
        """A slider over these numbers, such as doublings, or a menu of these words.

        >>> Control.of("random", "best", key="by", label="Keep", default="best").allowed
        'one of random, best'
        """
        return cls(key=key, label=label, min=values[0], max=values[-1], step=1, default=default, values=values)

    @classmethod
    def text(cls, *, key: str, label: str, default: str, length: int, lines: int = 1) -> "Control":
        """A field for a text of at most so many characters, the empty text included.

        >>> Control.text(key="prompt", label="Prompt", default="Name a fruit:", length=200).allowed
        'a text of at most 200 characters'
        """
        longest = (default + " ") * length
        return cls(key=key, label=label, min="", max=longest[:length], step=1, default=default, surprise=False,
                   length=length, lines=lines)  # fmt: skip

    def check(self, value: object) -> Value:
        """Return the value as the control's own type, or refuse it in one sentence.

        >>> Control(key="k", label="K", min=1, max=16, step=1, default=1).check(4.0)
        4
        """
        if self.length:
            if not isinstance(value, str) or len(value) > self.length:
                raise ValueError(f"{self.key} = {value!r:.60} is not a setting: expected {self.allowed}")
            return value
        if self.values:
            if isinstance(value, bool) or value not in self.values:
                raise ValueError(f"{self.key} = {value!r} is not a setting: expected {self.allowed}")
            return self.values[self.values.index(value)]
        number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else float("nan")
        steps = (number - self.min) / self.step
        if not (self.min <= number <= self.max) or abs(steps - round(steps)) > 1e-9:
            raise ValueError(f"{self.key} = {value!r} is not a setting: expected {self.allowed}")
        return type(self.default)(number)

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        if self.length:
            return f"a text of at most {self.length} characters"
        if self.values:
            return f"one of {', '.join(map(str, self.values))}"
        return f"{self.min} to {self.max} in steps of {self.step}"
