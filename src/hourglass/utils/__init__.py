"""Errors, files, pictures, transforms, threads, devices: what every folder may use."""
