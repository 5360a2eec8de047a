"""A trained network on photographs: backends, person search, results."""
