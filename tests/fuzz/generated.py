"""Requests made from the descriptions by schemathesis, some as described and some not, and its judgement of the answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fuzz.cases import Seeds
from tests.fuzz.descriptions import description
from tests.fuzz.target import KEYS, Finding, Target
from tests.fuzz.wire import DEADLINE_S, Answer

__all__ = ["fuzz"]

_CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def _ids(known: Seeds, dialect: str) -> dict[str, str]:
    if dialect == "openai":
        things = {"file_id": known.file, "batch_id": known.batch, "upload_id": known.upload}
        return {**things, "webhook_endpoint_id": known.endpoint, "model": "gpt-4o-mini"}
    if dialect == "anthropic":
        return {"batch_id": known.msgbatch, "model_id": "claude-haiku-4-5"}
    things = {"file": known.gemini_file.removeprefix("files/"), "batch": known.gemini_batch}
    return {**things, "webhook": known.webhook, "model": "gemini-2.5-flash"}


def fuzz(target: Target, known: Seeds, dialect: str, *, examples: int, seed: int) -> list[Finding]:
    """So many requests of each operation, as described, and as many that are not; the smallest that fail."""
    load_all_checks()
    findings: list[Finding] = []
    schema = schemathesis.openapi.from_dict(description(dialect).document)
    base = target.cloud.base_url + description(dialect).prefix
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            run = _runner(
                target, operation.as_strategy(generation_mode=mode), base, _ids(known, dialect), dialect, examples, seed
            )
            try:
                run()
            except Unsatisfiable:
                continue  # takes nothing that could be wrong
            except Finding as finding:
                findings.append(finding)
    return findings


def _runner(
    target: Target, cases: Any, base: str, ids: dict[str, str], dialect: str, examples: int, seed: int
) -> Callable[[], None]:
    @seeded(seed)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate] if examples < 50 else [Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(case=cases, known=st.booleans(), admitted=st.integers(0, 9))
    def run(case: Case[Any], known: bool, admitted: int) -> None:
        deletes = case.method == "DELETE"
        if known and not deletes:  # a thing that exists: else every answer would be 404
            case.path_parameters = {name: ids.get(name, value) for name, value in (case.path_parameters or {}).items()}
        headers = dict(KEYS[dialect]) if admitted else {}
        response = case.call(base_url=base, headers=headers, timeout=DEADLINE_S)
        answer = Answer(
            status=response.status_code,
            headers={name.lower(): values[0] for name, values in response.headers.items()},
            body=response.content,
        )
        path = response.request.path_url if response.request is not None else ""
        objections = (
            [] if case.method != response.request.method else description(dialect).objections(case.method, path, answer)
        )
        if answer.status >= 500 or (objections and description(dialect).operation(case.method, path) is not None):
            raise target.finding("; ".join(objections[:4]), asked=case.as_curl_command()[:600], answer=answer)
        if description(dialect).operation(case.method, path) is None:
            return  # a path that came out as another one
        try:
            case.validate_response(response, checks=_CHECKS)
        except FailureGroup as group:
            what = "; ".join(str(each).replace("\n", " ")[:300] for each in group.exceptions)
            raise target.finding(f"schemathesis: {what}", asked=case.as_curl_command()[:600], answer=answer) from None

    return run
