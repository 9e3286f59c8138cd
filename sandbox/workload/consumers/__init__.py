"""Who writes and who works on it, at either cloud, as processes that note all that they do.

    python -m sandbox.workload.consumers.application SETTINGS.json     # writes, at AWS or at Azure
    python -m sandbox.workload.consumers.lambdas SETTINGS.json         # what Lambda functions would do
    python -m sandbox.workload.consumers.functions SETTINGS.json       # what a function app would do

Each event has an id of its own. Whoever wrote it has noted it, and so has everybody who worked on it, so that what got
lost, and what was done twice, can be told at the end (`reckoning`). They end on SIGTERM, after what is in hand.
"""

from sandbox.workload.consumers.journal import Entry, Journal, read_journal
from sandbox.workload.consumers.reckoning import Reckoning, reckon
from sandbox.workload.consumers.settings import (
    ApplicationSettings,
    FunctionsSettings,
    LambdaSettings,
    QueueFunction,
    Sending,
)

__all__ = [
    "ApplicationSettings",
    "Entry",
    "FunctionsSettings",
    "Journal",
    "LambdaSettings",
    "QueueFunction",
    "Reckoning",
    "Sending",
    "read_journal",
    "reckon",
]
