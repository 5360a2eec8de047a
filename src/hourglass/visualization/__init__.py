"""Keypoints, skeletons and lines on pictures, and sheets of them."""
