"""PCKh, and the reports made of it."""
