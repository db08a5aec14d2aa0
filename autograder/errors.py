"""Errors that are told in one line, without a traceback."""


class Refused(Exception):
    """Something an instructor handed over cannot be used; the message says what, where and what to do."""


class NotConverted(Exception):
    """nbgrader cannot work with a submission; the message says why."""


class NoWall(RuntimeError):
    """bubblewrap is missing, or no process can be started behind it here."""
