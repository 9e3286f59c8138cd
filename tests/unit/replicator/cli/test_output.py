"""Promise: what is printed gets through, whatever the terminal or the pipe is said to understand."""

import io
import sys
from pathlib import Path

import pytest

from fakes.served import run_command
from replicator.cli import output


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_signs_that_an_encoding_lacks_are_written_otherwise(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with PYTHONIOENCODING=ascii; a check says what to do behind an arrow."""
    config = tmp_path / "migration.yaml"
    config.write_text("migration: shop")
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    assert run_command("check", str(config)) == 2
    sys.stdout.flush()
    assert (" → Add it" if encoding == "utf-8" else " -> Add it") in written.getvalue().decode(encoding)


def test_what_has_no_other_form_is_escaped() -> None:
    """A bar stays as wide as it is."""
    assert "█░ 1 of 2 → é\ud800".encode("ascii", output.PLAINLY) == rb"#. 1 of 2 -> \xe9\ud800"
    assert "é\ud800".encode("utf-8", output.PLAINLY) == "é".encode() + rb"\ud800"
