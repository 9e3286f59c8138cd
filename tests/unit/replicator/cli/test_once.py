"""Promises of planned downtime's last words: the worst pipeline decides, nothing that is wrong is left unsaid, and what
the command line asks for in vain is refused.
"""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from replicator.cli.ending import Exit
from replicator.cli.once import EXITS, Asked, worst
from replicator.cli.report import save
from replicator.cli.verdicts import MOST_SHOWN, as_json, summary
from replicator.config.models import MigrationConfig, PipelineConfig, SourceConfig, TargetConfig
from replicator.engine.rounds import Difference, Leg, Round
from replicator.engine.verdict import Result, Verdict, is_begun_again
from replicator.errors import ConfigurationError
from replicator.model import Mode, Phase, PipelineState
from replicator.naming import Naming

AT = datetime(2026, 11, 24, 0, 29, tzinfo=UTC)

COPIED = PipelineState(epoch=1, mode=Mode.COPY, phase=Phase.COPIED, copied_records=1200)


def compared(*findings: Difference, **members: int) -> Round:
    found = Round(AT, legs=[Leg("scan-0")], compared=1200, ended_at=AT, **members)  # type: ignore[arg-type]
    for finding in findings:
        found.differs(finding)
    return found


def lines(verdict: Verdict) -> list[str]:
    return "\n".join(summary({"orders": verdict}, Naming(), verdict.result)).splitlines()


EQUAL = Verdict(COPIED, compared(), 0)
STOPPED = Verdict(PipelineState(epoch=1, mode=Mode.COPY), None, 0)
FAILED = Verdict(PipelineState(epoch=1, mode=Mode.COPY, phase=Phase.FAILED, failure="the bucket is gone"), None, 0)
LEFT_OUT = Verdict(COPIED, compared(), 2)


@pytest.mark.parametrize(
    ("verdicts", "result", "code"),
    [
        ([EQUAL, EQUAL], Result.EQUAL, Exit.OK),
        ([EQUAL, LEFT_OUT], Result.DIFFERENT, Exit.NOT_OK),
        ([LEFT_OUT, STOPPED], Result.UNFINISHED, Exit.NOT_OK),
        ([EQUAL, STOPPED, FAILED, LEFT_OUT], Result.FAILED, Exit.ERROR),
    ],
)
def test_the_worst_pipeline_decides(verdicts: list[Verdict], result: Result, code: Exit) -> None:
    assert worst({str(number): verdict for number, verdict in enumerate(verdicts)}) is result
    assert EXITS[result] is code


@pytest.mark.parametrize(
    ("results", "again"),
    [
        ([], False),
        (["equal", "equal"], False),
        (["equal", "different"], True),
        (["equal", "failed"], True),
        (["different", "unfinished"], False),
    ],
)
def test_what_was_cut_off_goes_on_and_what_was_told_to_be_wrong_is_begun_again(results: list[str], again: bool) -> None:
    assert is_begun_again([Result(result) for result in results]) is again


@pytest.mark.parametrize(
    ("verdict", "line"),
    [
        (EQUAL, "orders: EQUAL, 1,200 records copied, 1,200 compared; as of 2026-11-24T00:29:00+00:00"),
        (STOPPED, "orders: NOT FINISHED, is copying"),
        (FAILED, "orders: FAILED, the bucket is gone"),
        (LEFT_OUT, "orders: NOT EQUAL, 1,200 records copied, 1,200 compared, 2 dead letters; as of"),
        (
            Verdict(COPIED, compared(repaired=3, unsettled=2, foreign=1), 0),
            "1,200 compared, 3 repaired, but never found equal, 2 unsettled, 1 entry at the target not ours; as of",
        ),
        (
            Verdict(COPIED, Round(AT, legs=[], differences=2, waiting=2, ended_at=AT), 0),
            "1,200 messages copied, the queue received to its end, 2 messages are left in the queue; as of",
        ),
    ],
)
def test_a_pipelines_line_leaves_nothing_unsaid(verdict: Verdict, line: str) -> None:
    assert line in lines(verdict)[0]


def test_differences_are_named_as_far_as_they_can_be_read_and_all_are_in_the_document() -> None:
    findings = [Difference(f"k{number}", "missing", "1", "absent") for number in range(MOST_SHOWN + 5)]
    verdict = Verdict(COPIED, compared(*findings), 0)
    told = lines(verdict)
    assert sum("missing: k" in line for line in told) == MOST_SHOWN
    assert "  and 5 more, see differences.json beside the report" in told
    assert len(as_json(verdict, Naming())["findings"]) == MOST_SHOWN + 5


def test_keys_are_hashed_where_they_are_everywhere_else() -> None:
    verdict = Verdict(COPIED, compared(Difference("secret", "missing", "1", "absent", "secret is too large")), 0)
    told = "\n".join(summary({"orders": verdict}, Naming(b"salt"), verdict.result))
    assert "secret" not in told
    assert "secret" not in str(as_json(verdict, Naming(b"salt")))


def config(*modes: str) -> MigrationConfig:
    source, target = SourceConfig(type="scripted"), TargetConfig(type="memory")
    pipelines = {
        f"p{number}": PipelineConfig.model_validate({"source": source, "target": target, "mode": mode})
        for number, mode in enumerate(modes)
    }
    return MigrationConfig(migration="shop", pipelines=pipelines)


@pytest.mark.parametrize(
    ("asked", "modes", "refused"),
    [
        (Asked(repair=True, report=Path("x"), as_json=True), ["copy", "copy"], ""),
        (Asked(repair=True), ["copy", "async"], ""),
        (Asked(repair=True), ["async", "sync"], "--repair"),
        (Asked(report=Path("x")), ["copy", "async"], "--report"),
        (Asked(as_json=True), ["copy", "async"], "--json"),
        (Asked(), ["async"], ""),
    ],
)
def test_what_would_have_no_effect_is_refused(asked: Asked, modes: list[str], refused: str) -> None:
    if not refused:
        asked.require_fitting(config(*modes))
        return
    with pytest.raises(ConfigurationError, match=f"{refused}: has no effect"):
        asked.require_fitting(config(*modes))


def test_the_report_goes_beside_the_state_store_unless_a_folder_is_named() -> None:
    assert Asked().folder(config("copy")) == config("copy").state.folder / "shop-report"
    assert Asked(report=Path("evidence")).folder(config("copy")) == Path("evidence")


def test_a_folder_that_cannot_be_written_is_an_error_that_names_the_option(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"--report: .* cannot be written: Not a directory"):
        save(tmp_path / "file" / "evidence", {}, "--report")
