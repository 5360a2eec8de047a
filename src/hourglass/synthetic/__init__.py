"""Drawn people with exact joints: bodies in space, cartoons of them, scenery, pictures."""
