"""What is known of an encoder before any weight is read."""

import dataclasses

import numpy as np
import pytest

from models.config import CONFIGS, ENCODER_PARAMETERS, Evidence, HeadConfig, expected_shapes, position_table


@pytest.mark.parametrize("size", CONFIGS)
def test_the_expected_shapes_add_up_to_the_published_count(size):
    assert (
        sum(int(np.prod(shape)) for shape in expected_shapes(CONFIGS[size]).values())
        == ENCODER_PARAMETERS[size]
    )


def test_small_and_medium_read_18_minutes_a_patch_and_large_9():
    assert [CONFIGS[size].patches(10_080) for size in ("PAT-S", "PAT-M", "PAT-L", "PAT-Conv-L")] == [
        560,
        560,
        1120,
        1120,
    ]


def test_positions_are_sines_in_one_half_and_cosines_in_the_other():
    table = position_table(3)
    assert table.dtype == np.float32
    assert table[0].tolist() == [0.0] * 48 + [1.0] * 48
    assert table[2, [0, 1, 48]].tolist() == pytest.approx(
        [np.sin(2), np.sin(2 * 10_000 ** (-1 / 48)), np.cos(2)]
    )


def test_a_head_without_evidence_is_not_served():
    bare = HeadConfig("sleep", "sleep disorder")
    evidence = Evidence("held-out", n=2000, positives=58, auc=0.7, auc_low=0.63, auc_high=0.77)
    assert not bare.served
    assert not dataclasses.replace(bare, evidence=evidence).served
    assert dataclasses.replace(bare, evidence=evidence, threshold=0.5).served


@pytest.mark.parametrize("label", ["", "../x", "Upper", "1st", "a" * 41])
def test_a_head_label_is_a_plain_word(label):
    with pytest.raises(ValueError, match="head label"):
        HeadConfig(label, "task")
