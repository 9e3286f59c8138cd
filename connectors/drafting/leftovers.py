"""not-covered.md: what the functions use and nothing here carries. Pure."""

import json
from collections.abc import Iterator

from connectors.aws.discovery.model import Discovery, NotCovered, Topic
from connectors.aws.permissions import LONGEST_POLICY

INTRODUCTIONS = {
    Topic.NOT_LOOKED_AT: "Permit these and run it again, or look for yourself.",
    Topic.UNRESOLVED: "Nothing tells which of these are used. Add pipelines for those that are.",
    Topic.SERVICES: "They need an answer of their own: another service at Azure, or calls across clouds.",
    Topic.VARIABLES: "Names only: values are neither kept nor shown. Set their counterparts in the function app.",
    Topic.ENTRIES: "They are switched by something else than the triggers of the config: hooks or manual steps.",
    Topic.FUNCTIONS: "To be set anew at the function app.",
    Topic.RESOURCES: "To be decided.",
}

HEAD = """# What is not covered

What these functions use, as far as it was read, and no pipeline or trigger of `config.yaml` carries: {functions}.

It is not complete: what code names by itself, calls of other APIs, and what other roles do, shows nowhere. Nor are
versions looked at, only functions and their aliases.
"""


def not_covered_text(found: Discovery, lines: list[NotCovered]) -> str:
    """Markdown, a section for each topic that has a line."""
    return "\n".join([HEAD.format(functions=", ".join(found.functions)), *_sections(lines)])


def _sections(lines: list[NotCovered]) -> Iterator[str]:
    for topic in Topic:
        texts = [line.text for line in lines if line.topic is topic]
        if texts:
            yield f"## {topic}\n\n{INTRODUCTIONS[topic]}\n"
            yield "\n".join(f"- {_inline(text)}" for text in texts) + "\n"
    if not lines:
        yield "Nothing was found.\n"


def _inline(text: str) -> str:
    """One line that Markdown takes as it is."""
    shown = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return shown.replace("*", r"\*").replace("<", "&lt;").replace("_", r"\_")


def too_long(policy: object) -> list[NotCovered]:
    """A line where the policy for AWS is longer than one may be."""
    size = len(json.dumps(policy, separators=(",", ":")))
    if size <= LONGEST_POLICY:
        return []
    text = f"aws-policy.json has {size:,} characters, and a managed policy {LONGEST_POLICY:,} at most: divide it"
    return [NotCovered(Topic.RESOURCES, text)]
