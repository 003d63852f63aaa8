"""The bars of *Which card, how long, how much*: what takes memory, drawn from the page's own table."""

from collections.abc import Sequence
from html import escape

_PARTS = (  # columns of the table that a part adds up, its name, its colour
    ((2,), "weights", "var(--mrt-soft)"),
    ((3, 4), "gradients and AdamW", "var(--mrt-ink)"),
    ((5,), "left behind", "var(--mrt-multi)"),
    ((6,), "for a moment", "var(--mrt-line)"),
)
_LEFT, _WIDTH, _ROW, _TOP = 8, 344, 40, 48


def memory_bars(rows: Sequence[str], model: str) -> str:
    """A figure of one model's rows, ready for a ``{raw} html`` block.

    Args:
        rows: of the memory table, as `mrtlab.lab.step_cost_standard.memory_row` writes them.
        model: whose rows to draw.

    Raises:
        ValueError: the table has no such model.

    >>> figure = memory_bars(["| tiny | LoRA | 1 | 0.5 | 0.5 | 2 | 1 | 4 |"], "tiny")
    >>> figure.count("<rect"), "4 GB" in figure
    (8, True)
    """
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    mine = [row for row in cells if row[0] == model]
    if not mine:
        raise ValueError(f"the table has no rows of {model!r}")
    sums = [[sum(float(row[i]) for i in columns) for columns, _, _ in _PARTS] for row in mine]
    scale = (_WIDTH - 56) / max(map(sum, sums))
    drawn = [*_legend()]
    for place, (row, parts) in enumerate(zip(mine, sums, strict=True)):
        y, x = _TOP + place * _ROW, float(_LEFT)
        drawn.append(f'<text x="{_LEFT}" y="{y + 11}" fill="var(--mrt-ink)">{escape(row[1])}</text>')
        for (_, name, colour), gb in zip(_PARTS, parts, strict=True):
            drawn.append(
                f'<rect x="{x:.1f}" y="{y + 15}" width="{gb * scale:.1f}" height="14" fill="{colour}">'
                f"<title>{name}: {gb:.3g} GB</title></rect>"
            )
            x += gb * scale
        drawn.append(f'<text x="{x + 5:.1f}" y="{y + 26}" fill="var(--mrt-ink)">{row[7]} GB</text>')
    said = "; ".join(
        f"{row[1]}: " + ", ".join(f"{name} {gb:.3g} GB" for (_, name, _), gb in zip(_PARTS, parts, strict=True))
        for row, parts in zip(mine, sums, strict=True)
    )
    height = _TOP + len(mine) * _ROW
    return "\n".join(
        [
            '<figure class="mrt-figure" id="figure-memory">',
            '<p class="mrt-claim">LoRA: most memory holds what a batch leaves behind, and that need not be kept</p>',
            f'<p class="mrt-how">{escape(model)}, the standard job below, eight prompts in a step. The number is the '
            "worst moment; where gradients come as the rest goes, it is less than the bar.</p>",
            f'<svg viewBox="0 0 360 {height}" role="img" aria-label="{escape(said)}" '
            'style="width:100%;max-width:540px;height:auto;display:block;font:11px system-ui,sans-serif">',
            *drawn,
            "</svg>",
            "</figure>",
        ]
    )


def _legend() -> list[str]:
    """Names of the parts, two in a line."""
    drawn = []
    for i, (_, name, colour) in enumerate(_PARTS):
        x, y = _LEFT + 150 * (i % 2), 6 + 18 * (i // 2)
        drawn.append(f'<rect x="{x}" y="{y}" width="10" height="10" fill="{colour}"/>')
        drawn.append(f'<text x="{x + 15}" y="{y + 9}" fill="var(--mrt-ink)">{name}</text>')
    return drawn
