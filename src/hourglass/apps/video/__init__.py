"""Clips and cameras: frames, tracking, smoothing, sound, what is written."""
