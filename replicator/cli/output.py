"""Standard output and standard error, made fit for every encoding."""

import codecs
import io
import sys

PLAINLY = "replicator.plainly"
"""A way to encode what an encoding lacks."""

OTHERWISE = {"→": "->", "█": "#", "░": "."}


def speak_plainly() -> None:
    """For the whole process: nothing printed can fail for want of a character."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=PLAINLY)


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """Our own signs in ASCII, others as Python escapes them."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(OTHERWISE.get(c) or c.encode("ascii", "backslashreplace").decode() for c in lacking), error.end


codecs.register_error(PLAINLY, _plainly)
