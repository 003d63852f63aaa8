"""The book's figures: one theme, and one function per figure that returns a described plotly figure."""

from mrtlab.show.figures.theme import COLOURS, GREY, INK, MULTI, QUALITY_DIVERSITY, REWARD, SINGLE, present

__all__ = ["COLOURS", "GREY", "INK", "MULTI", "QUALITY_DIVERSITY", "REWARD", "SINGLE", "present"]
