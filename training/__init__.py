"""Training: makes weights and example data, beside the service and never inside it.

synthetic            people who do not exist and their weeks, from a seed
realism              whether those weeks are as hard as real ones
masked_autoencoder   the network and the error that PAT is pretrained with
pretrain             python -m training.pretrain: the demonstration weights
reference            python -m training.reference: what weeks of their cohort are like, for the card
noise_floor          how much of a hidden minute could be known at all
examples             python -m training.examples: the files in examples/
"""

__all__ = ["examples", "masked_autoencoder", "noise_floor", "pretrain", "realism", "reference", "synthetic"]
