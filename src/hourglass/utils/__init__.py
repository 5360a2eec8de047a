"""Errors, files, pictures, transforms, threads, drawing, devices: what every folder may use."""
