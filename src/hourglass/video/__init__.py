"""People followed through a clip or a camera's frames: drawn, and their joints, frame by frame."""
