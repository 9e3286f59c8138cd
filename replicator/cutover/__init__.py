"""Whether traffic may be moved now: judged by the statuses that everybody sees, and never better than they are."""

from replicator.cutover.announcing import Announcer
from replicator.cutover.report import Check, Cutover, DrainEstimate, Outcome, PipelineCutover
from replicator.cutover.watching import Watch

__all__ = ["Announcer", "Check", "Cutover", "DrainEstimate", "Outcome", "PipelineCutover", "Watch"]
