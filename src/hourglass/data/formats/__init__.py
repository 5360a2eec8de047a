"""Forms of annotation files: a module a form, and what all of them give."""
