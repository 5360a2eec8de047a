"""Annotations of every form as one checked record, `persons.Person`."""
