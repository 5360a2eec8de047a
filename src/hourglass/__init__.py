"""Human pose estimation with a stacked hourglass, as a reproducible pipeline."""
