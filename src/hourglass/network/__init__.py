"""From views of stored crops to heatmaps and keypoints: the network and what surrounds it."""
