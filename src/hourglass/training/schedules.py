"""The learning rate and the patience of a run, from its parameters and its scores so far alone."""

import math
from collections.abc import Sequence

from hourglass.config import TrainParams


def learning_rate(
    params: TrainParams, step: int, steps_per_epoch: int, history: list[dict]
) -> float:
    """The learning rate of a step.

    Args:
        step: from 0, over all epochs. history: the finished epochs.
    """
    warmup = params.warmup_epochs * steps_per_epoch
    if step < warmup:
        return params.lr * (step + 1) / (warmup + 1)  # never 0, and lr itself one step later
    if params.schedule == "cosine":
        done = (step - warmup) / max(1, params.epochs * steps_per_epoch - warmup)
        # Down to 0 at the end of the last epoch, and there it stays.
        return params.lr * 0.5 * (1 + math.cos(math.pi * min(1, done)))
    if params.schedule == "steps":
        epoch = step // steps_per_epoch  # how many are finished
        return params.lr * params.decay_factor ** sum(epoch >= at for at in params.decay_epochs)
    if params.schedule == "plateau":
        scores = [row["val_pckh"] for row in history]
        return params.lr * params.decay_factor ** count_plateaus(scores, params.patience)
    return params.lr


def count_plateaus(scores: Sequence[float], patience: int) -> int:
    """How often `patience` epochs in a row have gone by without a better score."""
    best, waited, plateaus = -math.inf, 0, 0
    for score in scores:
        waited = 0 if score > best else waited + 1
        best = max(best, score)
        if waited == patience:  # and so on from there, as after a better score
            plateaus, waited = plateaus + 1, 0
    return plateaus


def count_epochs(history: list[dict]) -> int:
    """How many epochs are finished; epoch 0, the start, is none of them."""
    return history[-1]["epoch"] if history else 0


def is_training_finished(params: TrainParams, history: list[dict]) -> bool:
    """Whether a run has all its epochs, or waited `early_stopping` of them for a better score."""
    if count_epochs(history) >= params.epochs:
        return True
    scores = [row["val_pckh"] for row in history]
    return bool(params.early_stopping) and count_plateaus(scores, params.early_stopping) > 0
