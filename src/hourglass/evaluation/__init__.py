"""Predictions of a split, PCKh, reports and figures."""
