"""What a trained network is used for: predictions of a split, photographs, drawn skeletons."""
