"""Queues and what may be done with them: no I/O, every method at once, time read from a clock that is passed in."""
