"""A training run: the loop, loss, optimizers, schedules, saved state, progress."""
