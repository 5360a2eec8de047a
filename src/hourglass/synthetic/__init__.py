"""Drawn people with exact joints: bodies in three dimensions, cartoons of them, pictures."""
