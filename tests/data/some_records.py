"""Strategies for hypothesis: the fields of records of every kind, with any text.

They give fields, not records: the type checker of the tests draws by chance, which hypothesis forbids while it draws.
"""

from hypothesis import strategies as st

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: text.strip())


@st.composite
def record_fields(draw):
    """What `Record.of` takes, all of it valid."""
    n = draw(st.integers(1, 5))
    numbers = st.lists(st.floats(-1e300, 1e300), min_size=n, max_size=n)
    places = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda pair: pair[0] != pair[1])
    messages = st.lists(st.fixed_dictionaries({"role": texts, "content": texts}), max_size=2)
    return {
        "prompt": draw(texts | messages.map(lambda first: [*first, {"role": "user", "content": "?"}])),
        "responses": draw(st.lists(texts, min_size=n, max_size=n)),
        "scores": draw(st.none() | numbers),
        "weights": draw(st.none() | numbers),
        "targets": draw(st.none() | st.lists(st.floats(0, 1 / n), min_size=n, max_size=n)),
        "pairs": draw(st.none() | (st.lists(places, max_size=4) if n > 1 else st.just([]))),
        "id": draw(st.none() | texts),
    }
