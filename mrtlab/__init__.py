"""mrtlab: training language models when a prompt has many right answers.

``import mrtlab`` stays light: it never imports torch. Take what you need from its floors, for example
``from mrtlab.theory import expected_coverage``.
"""

__version__ = "0.1.0"
