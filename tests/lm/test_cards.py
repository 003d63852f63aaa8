"""Cards are found by the names people and drivers use; formats suit the card."""

import pytest

from mrtlab.lm.cards import CARDS, DATA_SHEET, MEASURED, Card, find_card, matrix_rate, precision, this_card


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("Tesla T4", "T4"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA A10G", "A10G"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA A100-SXM4-40GB", "A100 40GB"),
        ("NVIDIA A100 80GB PCIe", "A100 80GB"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H200", "H200"),
        ("a100", "A100 40GB"),
    ],
)
def test_names_of_drivers_and_people(said, found):
    assert find_card(said).name == found


@pytest.mark.parametrize("said", ["L40S", "NVIDIA L40", "T400", "my card", "", "GTX 1080"])
def test_cards_that_are_not_in_the_table_are_not_taken_for_others(said):
    with pytest.raises(ValueError, match="choose from here, T4"):
        find_card(said)


def test_the_table_says_where_it_is_from_and_no_rate_is_negative():
    for card in CARDS.values():
        assert card.source == DATA_SHEET
        assert card.memory >= 16e9
        assert card.float32 <= card.rate("float16")
        assert card.bandwidth > 1e11
    assert [card.name for card in CARDS.values() if not card.native_bf16] == ["T4"]
    with pytest.raises(ValueError, match="T4 has no unit for products in bfloat16: use float32, float16"):
        CARDS["T4"].rate("bfloat16")


def test_formats():
    t4, a100 = CARDS["T4"], CARDS["A100 40GB"]
    assert precision(t4, "lora").loss_scaling
    assert not precision(a100, "lora").loss_scaling
    for card in CARDS.values():
        for method in ("lora", "full", "4bit"):
            found = precision(card, method)
            assert found.trained == "float32"
            assert card.rate(found.products) > 0
            assert found.why.endswith(".")
    assert precision(t4, "full").weights == precision(a100, "full").weights == "float32"
    assert precision(a100, "4bit").weights == "nf4"


def test_this_machine_is_measured_and_works_in_single_precision():
    card = this_card("cpu")
    assert card.source == MEASURED
    assert card.memory > 1e8
    assert card.float32 > 1e8
    assert card.bandwidth > 1e8
    assert precision(card, "lora").products == "float32"
    with pytest.raises(ValueError, match="four bits need a CUDA GPU"):
        precision(card, "4bit")
    with pytest.raises(ValueError, match="unknown method"):
        precision(card, "half")


def test_a_larger_product_takes_longer_but_not_at_another_rate():
    small, large = (matrix_rate("cpu", "float32", size=n) for n in (256, 512))
    assert 0.1 < small / large < 10


def test_a_card_of_ones_own():
    card = Card(name="mine", memory=1e9, float32=1e12, float16=None, bfloat16=2e12, bandwidth=1e11)
    assert card.native_bf16
    assert precision(card, "lora").autocast == "bfloat16"
