"""A finished run as one HTML page, to be read and sent without anything else."""
