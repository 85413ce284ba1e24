"""The calls that a push consists of: all that the gate lets through (`convex dev --once`, CLI 1.40 to 1.48)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One method and path of the push protocol."""

    method: str
    path: str
    repeatable: bool = True
    """Asking again does no harm, so that the gate repeats it after a transient answer."""
    laborious: bool = False
    """The deployment may work on it for as long as the session lasts."""
    optional: bool = False
    """The push goes on without an answer."""
    passing: frozenset[tuple[int, str | None]] = frozenset()
    """Statuses and codes that are transient at this step only."""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


CANONICAL_URLS = Step(
    "GET",
    "/api/v1/get_canonical_urls",
    passing=frozenset({(404, None)}),  # a deployment that was created a moment ago
)
CONFIG_HASHES = Step("POST", "/api/get_config_hashes")
EVALUATE_SCHEMA = Step("POST", "/api/deploy2/evaluate_schema", repeatable=False, optional=True)
START_PUSH = Step("POST", "/api/deploy2/start_push", laborious=True, passing=frozenset({(400, "RaceDetected")}))
WAIT_FOR_SCHEMA = Step("POST", "/api/deploy2/wait_for_schema")
FINISH_PUSH = Step("POST", "/api/deploy2/finish_push", repeatable=False, laborious=True)
REPORT_PUSH_COMPLETED = Step("POST", "/api/deploy2/report_push_completed", repeatable=False)

STEPS = {
    (step.method, step.path): step
    for step in (
        CANONICAL_URLS,
        CONFIG_HASHES,
        EVALUATE_SCHEMA,
        START_PUSH,
        WAIT_FOR_SCHEMA,
        FINISH_PUSH,
        REPORT_PUSH_COMPLETED,
    )
}
