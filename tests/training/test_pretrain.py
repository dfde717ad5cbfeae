"""Pretraining scores what it says it scores, and the demonstration weights are what it made."""

from __future__ import annotations

import re

import numpy as np
import pytest
import safetensors.torch
import torch

from models.checkpoint import load
from models.config import CONFIGS
from models.pat import reference
from tests.shared import ROOT, shared
from training import masked_autoencoder, noise_floor, pretrain, realism
from training.masked_autoencoder import MaskedAutoencoder, hidden_count, orders, squared_error, targets
from training.pretrain import Options
from training.synthetic import person

DEMO = ROOT / "models" / "weights" / "pat-s-demo"
DECODER = ROOT / "tests" / "training" / "data" / "demo-decoder.safetensors"
PATCHES = 560
TINY = ["--weeks", "110", "--held-out", "3", "--updates", "3", "--batch", "4", "--asked", "8"]


@pytest.fixture(autouse=True)
def torch_settings():
    """Give the other tests their torch back: pretraining sets threads and determinism for its process."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def network():
    return MaskedAutoencoder(CONFIGS["PAT-S"]).initialise(torch.Generator().manual_seed(0)).eval()


@pytest.fixture(scope="module")
def demonstration():
    checkpoint = load(DEMO)
    network = MaskedAutoencoder(checkpoint.config)
    encoder = {
        f"encoder.{name}": torch.from_numpy(array.copy()) for name, array in checkpoint.weights.items()
    }
    decoder = {name: array.float() for name, array in safetensors.torch.load_file(DECODER).items()}
    network.load_state_dict(encoder | decoder, strict=True)
    return checkpoint, network.eval()


def weeks(n: int) -> torch.Tensor:
    return torch.randn(n, 10_080, generator=torch.Generator().manual_seed(1))


def order(n: int) -> torch.Tensor:
    return orders(n, PATCHES, torch.Generator().manual_seed(2))


def test_nine_tenths_of_the_patches_are_hidden():
    assert hidden_count(560) == 504
    assert hidden_count(1120) == 1008


def test_each_sample_has_its_own_mask_and_hides_each_patch_once():
    drawn = order(3)
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn.sort(dim=1).values, torch.arange(PATCHES).expand(3, -1))


def test_the_error_is_the_one_counted_by_hand():
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [1.0, float("nan")]]])
    restored = torch.tensor([[[1.0, 0.0], [0.0, 4.0]], [[2.0, 0.0], [0.0, 9.0]]])
    squares, minutes = squared_error(restored, hidden)
    assert squares.item() == 4 + 9 + 4 + 1  # the minute that is not recorded counts nowhere
    assert minutes.item() == 7


def test_what_is_visible_has_no_part_in_the_truth_that_is_scored(network):
    given, drawn = weeks(2), order(2)
    _, hidden = network(given, drawn, 504)
    changed = given.clone().view(2, PATCHES, 18)
    for row in range(2):
        changed[row, drawn[row, 504:]] += 5.0
    _, hidden_again = network(changed.view(2, -1), drawn, 504)
    assert torch.equal(hidden, hidden_again)


def test_what_is_hidden_has_no_part_in_the_answer(network):
    given, drawn = weeks(2), order(2)
    changed = given.clone().view(2, PATCHES, 18)
    for row in range(2):
        changed[row, drawn[row, :504]] += 5.0
    with torch.no_grad():
        assert torch.equal(network(given, drawn, 504)[0], network(changed.view(2, -1), drawn, 504)[0])


def test_every_sample_is_scored_in_its_own_hidden_patches(network):
    given, drawn = weeks(3), order(3)
    _, hidden = network(given, drawn, 504)
    for row in range(3):
        assert torch.equal(hidden[row], given[row].view(PATCHES, 18)[drawn[row, :504]])


def test_taking_patch_numbers_for_minute_numbers_would_be_another_error(network):
    given, drawn = weeks(2), order(2)
    with torch.no_grad():
        restored, hidden = network(given, drawn, 504)
    squares, minutes = squared_error(restored, hidden)
    week = torch.zeros(2, PATCHES, 18)
    for row in range(2):
        week[row, drawn[row, :504]] = restored[row]
    mistaken = (week.flatten()[drawn[0, :504]] - given.flatten()[drawn[0, :504]]).square()
    assert minutes.item() == 2 * 504 * 18
    assert mistaken.numel() == 504  # minutes of the first ten hours of sample 0, hidden or not
    assert abs(mistaken.mean().item() - (squares / minutes).item()) > 0.01


def test_the_decoder_asked_for_some_patches_answers_as_if_asked_for_all(network):
    tokens = torch.randn(2, PATCHES, 96, generator=torch.Generator().manual_seed(3))
    asked = order(2)[:, :7]
    with torch.no_grad():
        everything = network.decoder(tokens)
        some = network.decoder.answer(tokens, asked)
    torch.testing.assert_close(some, masked_autoencoder.take(everything, asked), atol=2e-6, rtol=1e-5)


def test_answers_stay_within_two_standard_deviations(network):
    with torch.no_grad():
        restored, _ = network(100 * weeks(1), order(1), 504)
    assert restored.abs().max() <= 2


def test_each_week_is_taken_once_before_any_is_taken_again():
    batches = list(pretrain._batches(10, Options(batch=4, updates=5), torch.Generator().manual_seed(0)))
    assert sorted(torch.cat(batches).tolist()) == sorted(2 * list(range(10)))


def test_a_minute_that_is_not_recorded_is_no_target(demonstration):
    week = np.full((1, 10_080), 50.0, np.float32)
    week[0, 7] = np.nan
    standardised = targets(demonstration[0].scaling, week)
    assert torch.isnan(standardised[0]).nonzero().tolist() == [[7]]


def trained(folder, *more):
    pretrain.main([*TINY, "--created", "2024-01-01", "--output", str(folder), *more])
    return folder


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("trained") / "once")


def test_the_same_command_gives_the_same_bytes(once, tmp_path):
    first, again = (sorted(folder.iterdir()) for folder in (once, trained(tmp_path / "again")))
    assert [path.name for path in first] == [path.name for path in again]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_another_seed_gives_other_weights(once, tmp_path):
    assert load(once).digest != load(trained(tmp_path / "other", "--seed", "1")).digest


def test_the_demonstration_weights_load_and_say_what_they_are(demonstration):
    checkpoint, _ = demonstration
    assert checkpoint.config.name == "PAT-S"
    assert checkpoint.provenance.licence == "Apache-2.0"
    assert "no clinical meaning" in checkpoint.provenance.note
    assert checkpoint.scaling is not None
    assert checkpoint.scaling.device == "synthetic-demo"
    assert checkpoint.heads == ()


def test_the_demonstration_weights_stay_small():
    assert sum(path.stat().st_size for path in DEMO.iterdir()) < 2_000_000
    assert DECODER.stat().st_size < 600_000


def test_the_demonstration_weights_reproduce_their_golden_in_float64(demonstration):
    checkpoint, _ = demonstration
    assert checkpoint.golden is not None
    again = reference(checkpoint, checkpoint.golden.weeks)
    np.testing.assert_allclose(again.pooled, checkpoint.golden.pooled, atol=1e-9)
    np.testing.assert_allclose(again.profile, checkpoint.golden.profile, atol=1e-12)


@pytest.mark.slow
def test_the_recorded_error_on_held_out_people_is_found_again_and_below_nine_tenths(demonstration):
    checkpoint, network = demonstration
    held_out = targets(checkpoint.scaling, pretrain.held_out_weeks(Options()))
    error, mean_error = pretrain.masked_error(network, held_out, Options())
    recorded = re.search(r"held-out people (0\.\d+) of that", checkpoint.provenance.note)
    assert recorded is not None
    assert error / mean_error == pytest.approx(float(recorded[1]), abs=5e-4)  # the decoder is kept in float16
    assert error / mean_error <= 0.9


@pytest.mark.slow
def test_people_drawn_after_all_choices_give_the_documented_error(demonstration):
    checkpoint, network = demonstration
    others = Options(seed=1)
    error, mean_error = pretrain.masked_error(
        network, targets(checkpoint.scaling, pretrain.held_out_weeks(others)), others
    )
    assert error / mean_error == pytest.approx(0.883, abs=5e-4)


def test_the_card_states_the_recorded_error(demonstration):
    recorded = re.search(r"held-out people (0\.\d+) of that", demonstration[0].provenance.note)
    assert recorded is not None
    for page in (DEMO / "CARD.md", ROOT / "docs" / "demonstration-weights.md"):
        assert recorded[1] in page.read_text()


def test_real_weeks_are_restored_about_as_well(demonstration):
    _, network = demonstration
    real = realism.depresjon(shared("data/cohorts/depresjon.npz").parent)
    standardised = (real - real.mean(axis=0)) / np.where(real.std(axis=0) > 0, real.std(axis=0), 1)
    error, mean_error = pretrain.masked_error(
        network, torch.from_numpy(standardised.astype(np.float32)), Options()
    )
    assert error / mean_error == pytest.approx(0.877, abs=1e-3)


def test_the_oracle_that_knows_the_schedule_answers_with_the_mean_of_many_weeks():
    traits = person(1)
    expected = noise_floor.expected_week(traits, np.random.default_rng(0), 0)
    drive = noise_floor.level(traits, np.random.default_rng(0), days=7)[:, None]
    noise = np.random.default_rng(1).normal(size=(1, 4000))
    many = noise_floor.counts_of(drive + noise, traits.gain).mean(axis=1)
    assert expected.mean() == pytest.approx(many.mean(), rel=0.03)
