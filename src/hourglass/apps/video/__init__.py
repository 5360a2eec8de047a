"""Clips and cameras: frames, tracking, smoothing, sound, drawn clips and JSON lines."""
