"""The live cell: sliders with a kernel, the default figure without one."""

import ipywidgets
import pytest

from mrtlab.show.live import live


def test_the_book_gets_the_figure_at_its_defaults(monkeypatch):
    monkeypatch.setenv("MRTLAB_BOOK", "1")
    assert live(lambda k, s: (k, s), k=(1, 8, 1, 4), s=(0.0, 1.0, 0.1, 0.5)) == (4, 0.5)


def test_a_kernel_gets_sliders_that_draw(monkeypatch):
    monkeypatch.delenv("MRTLAB_BOOK", raising=False)
    drawn = []
    box = live(lambda k, s: drawn.append((k, s)), k=(1, 8, 1, 4), s=(0.0, 1.0, 0.1, 0.5))
    kinds = {child.description: type(child) for child in box.children if hasattr(child, "description")}
    assert kinds == {"k": ipywidgets.IntSlider, "s": ipywidgets.FloatSlider}
    box.update()
    box.children[0].value = 7
    assert drawn[0] == (4, 0.5)
    assert drawn[-1] == (7, 0.5)


def test_a_default_off_the_dial_is_refused():
    with pytest.raises(ValueError, match="dial k"):
        live(lambda k: k, k=(1, 8, 1, 9))
