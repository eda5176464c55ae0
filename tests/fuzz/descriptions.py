"""The descriptions of the dialects as a judge of answers."""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import jsonschema_rs

from tests.fuzz.wire import Answer

__all__ = ["DIALECTS", "METHODS", "Description", "Operation", "description"]

DIALECTS = ("openai", "anthropic", "gemini")
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of a description."""

    id: str
    method: str
    path: str
    pattern: re.Pattern[str]
    responses: dict[str, dict[str, Any]]


class Description:
    """One dialect's description."""

    def __init__(self, dialect: str, document: dict[str, Any]) -> None:
        self.dialect = dialect
        self.document = document
        self.prefix = "/" + document["servers"][0]["url"].split("/", 3)[3]
        self.operations = list(self._operations())
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}

    def _operations(self) -> Iterator[Operation]:
        piece = "[^/:]+" if self.dialect == "gemini" else "[^/]+"
        for path, item in self.document["paths"].items():
            pattern = re.sub(r"\\\{version\\\}", "(?:v1|v1beta)", re.escape(path))
            pattern = re.sub(r"\\\{\w+\\\}", piece, pattern) + ("" if self.dialect == "gemini" else "/?")
            for method in METHODS:
                if method in item:
                    responses = {status: self._plain(each) for status, each in item[method]["responses"].items()}
                    yield Operation(
                        id=item[method]["operationId"],
                        method=method.upper(),
                        path=path,
                        pattern=re.compile(pattern, re.DOTALL),
                        responses=responses,
                    )

    def _plain(self, value: dict[str, Any]) -> dict[str, Any]:
        """The value, or what it refers to."""
        while "$ref" in value:
            found: Any = self.document
            for name in value["$ref"].removeprefix("#/").split("/"):
                found = found[name]
            value = found
        return value

    def operation(self, method: str, target: str) -> Operation | None:
        """The operation that a request asks for."""
        path = unquote(target.partition("?")[0])
        if not path.startswith(self.prefix + "/"):
            return None
        rest = path[len(self.prefix) :]
        return next((each for each in self.operations if each.method == method and each.pattern.fullmatch(rest)), None)

    def objections(self, method: str, target: str, answer: Answer) -> list[str]:
        """What is not as described in an answer to a request, where no fault rule is in force."""
        operation = self.operation(method, target)
        if operation is None:
            found = (
                [] if answer.status in (400, 401, 403, 404, 405) else [f"{answer.status} where nothing is described"]
            )
            return found if method == "HEAD" else found + self.bad_values("Error", answer.body)
        said = operation.responses.get(str(answer.status))
        if said is None:
            return [f"{operation.id} answers {answer.status}, which is not described"]
        return [f"{operation.id}: {each}" for each in self._bad_headers(said, answer) + self._bad_body(said, answer)]

    def _bad_headers(self, said: dict[str, Any], answer: Answer) -> list[str]:
        found = []
        for name, header in said.get("headers", {}).items():
            header = self._plain(header)
            value = answer.headers.get(name)
            if value is None:
                found += [f"the header {name} is missing"] if header.get("required") else []
                continue
            whole = header["schema"].get("type") == "integer"
            if not self._validator(header["schema"]).is_valid(int(value) if whole and value.isdigit() else value):
                found.append(f"the header {name} is {value!r}")
        return found

    def _bad_body(self, said: dict[str, Any], answer: Answer) -> list[str]:
        media = answer.headers.get("content-type", "").partition(";")[0]
        content = said["content"].get(media)
        if content is None:
            return [f"the content type {media!r} is not described"]
        if media != "application/json":
            return []
        return self._bad_json(self._validator(content["schema"]), answer.body)

    def bad_values(self, schema: str, raw: bytes) -> list[str]:
        """What is not as described in a JSON text that should be of this schema."""
        return self._bad_json(self._validator({"$ref": f"#/components/schemas/{schema}"}), raw)

    def _bad_json(self, validator: jsonschema_rs.Draft202012Validator, raw: bytes) -> list[str]:
        try:
            value = json.loads(raw, parse_constant=_refuse)
        except RecursionError:
            return []  # an echo that is nested too deeply for this judge
        except ValueError as error:
            return [f"no JSON ({error}): {raw[:80]!r}"]
        return [
            f"{'/'.join(map(str, each.instance_path))}: {each.message[:200]}" for each in validator.iter_errors(value)
        ]

    def _validator(self, schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
        key = json.dumps(schema)
        made = self._validators.get(key)
        if made is None:
            whole = {**schema, "components": {"schemas": self.document["components"]["schemas"]}}
            made = self._validators[key] = jsonschema_rs.Draft202012Validator(whole)
        return made


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")


@functools.cache
def description(dialect: str) -> Description:
    """The description of a dialect as it is shipped."""
    path = importlib.resources.files("batchmark.emulator") / "openapi" / f"{dialect}.json"
    return Description(dialect, json.loads(path.read_bytes()))
