"""Single hostile requests: bodies, forms, paths, queries, methods, and bytes that are hardly HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.fuzz.descriptions import DIALECTS, METHODS, description
from tests.fuzz.target import JSON, KEYS, Finding, Target
from tests.fuzz.values import BAD_JSON, NAMES, QUERIES, SAMPLES, WRONG, mutations, nested
from tests.fuzz.wire import Request, chunked, multipart

__all__ = ["FAMILIES", "Case", "Seeds", "seeds"]


_HOOK = "https://nowhere.example/a"  # another machine, which is never called


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """Things that exist, so that hostile requests get past the first look."""

    file: str
    batch: str
    upload: str
    part: str
    msgbatch: str
    gemini_file: str
    gemini_batch: str
    session: str  # the query of a resumable upload's address
    endpoint: str
    webhook: str


def seeds(target: Target) -> Seeds:
    row = {"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": SAMPLES["/v1/responses"]}
    file = target.upload("openai", json.dumps(row).encode())
    begun = {"filename": "a", "purpose": "batch", "bytes": 1, "mime_type": "a/b"}
    upload = target.call("openai", "POST", "/openai/v1/uploads", json.dumps(begun).encode())["id"]
    kind = ("content-type", "multipart/form-data; boundary=fuzz")
    body = multipart([('content-disposition: form-data; name="data"; filename="upload"', b"x")])
    part = target.call("openai", "POST", f"/openai/v1/uploads/{upload}/parts", body, kind)["id"]
    start = Request(
        method="POST",
        target="/gemini/upload/v1/files",
        headers=(*KEYS["gemini"], ("x-goog-upload-protocol", "resumable"), ("x-goog-upload-command", "start")),
    )
    endpoint = {"name": "a", "url": _HOOK, "event_types": ["batch.completed"]}
    webhook = {"uri": _HOOK, "subscribed_events": ["batch.succeeded"]}
    return Seeds(
        file=file,
        endpoint=target.call("openai", "POST", "/openai/v1/webhook_endpoints", json.dumps(endpoint).encode())["id"],
        webhook=target.call("gemini", "POST", "/gemini/v1/webhooks", json.dumps(webhook).encode())["id"],
        batch=target.openai_batch([json.dumps(row).encode()], "/v1/responses"),
        upload=upload,
        part=part,
        msgbatch=target.anthropic_batch([json.dumps({"custom_id": "a", "params": SAMPLES["anthropic"]}).encode()]),
        gemini_file=target.upload("gemini", json.dumps({"key": "a", "request": SAMPLES["gemini"]}).encode()),
        gemini_batch=target.gemini_batch([json.dumps({"key": "a", "request": SAMPLES["gemini"]}).encode()]),
        session=target.ask(start).headers["x-goog-upload-url"].partition("?")[2],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One hostile request; `must`: the statuses that are right, where that is not for the description alone to say."""

    name: str
    request: Request
    must: tuple[int, ...] = ()
    raw: tuple[bytes, ...] = field(default=())  # instead of the request: what is hardly HTTP
    may_drop: bool = False  # the server hangs up while it is still being sent to, so its answer may be lost

    def run(self, target: Target) -> None:
        if self.raw:
            try:
                answer = target.raw(self.raw, method=self.request.method)
            except Finding as finding:
                if self.may_drop and "ConnectionResetError" in str(finding):
                    return
                raise
        else:
            answer = target.ask(self.request)
        if self.must and answer.status not in self.must:
            raise target.finding(f"expected one of {self.must}", asked=self.request, answer=answer)


def _post(dialect: str, target: str, body: bytes, *headers: tuple[str, str]) -> Request:
    return Request(method="POST", target=target, headers=(*KEYS[dialect], *(headers or (JSON,))), body=body)


def _takers(known: Seeds) -> Iterator[tuple[str, str, tuple[tuple[str, str], ...], Any]]:
    """Every operation that takes JSON: its dialect, target, headers and a valid body."""
    yield (
        "openai",
        "/openai/v1/batches",
        (JSON,),
        {
            "input_file_id": known.file,
            "endpoint": "/v1/responses",
            "completion_window": "24h",
            "metadata": {"label": "a"},
            "output_expires_after": {"anchor": "created_at", "seconds": 3600},
        },
    )
    yield (
        "openai",
        "/openai/v1/uploads",
        (JSON,),
        {
            "filename": "a.jsonl",
            "purpose": "batch",
            "bytes": 5,
            "mime_type": "application/jsonl",
            "expires_after": {"anchor": "created_at", "seconds": 3600},
        },
    )
    yield "openai", f"/openai/v1/uploads/{known.upload}/complete", (JSON,), {"part_ids": [known.part], "md5": "0" * 32}
    counted = {
        name: SAMPLES["/v1/responses"][name]
        for name in ("model", "input", "instructions", "text", "reasoning", "tools")
    }
    yield "openai", "/openai/v1/responses/input_tokens", (JSON,), counted
    yield (
        "anthropic",
        "/anthropic/v1/messages/batches",
        (JSON,),
        {"requests": [{"custom_id": "a", "params": SAMPLES["anthropic"]}]},
    )
    yield (
        "anthropic",
        "/anthropic/v1/messages/count_tokens",
        (JSON,),
        {name: SAMPLES["anthropic"][name] for name in ("model", "system", "messages")},
    )
    inline = {"requests": {"requests": [{"request": SAMPLES["gemini"], "metadata": {"key": "a"}}]}}
    generate = "/gemini/v1/models/gemini-2.5-flash"
    yield (
        "gemini",
        f"{generate}:batchGenerateContent",
        (JSON,),
        {"batch": {"displayName": "d", "inputConfig": inline, "priority": "5"}},
    )
    yield (
        "gemini",
        f"{generate}:batchGenerateContent",
        (JSON,),
        {"batch": {"display_name": "d", "input_config": {"file_name": known.gemini_file}}},
    )
    vectors = {"requests": {"requests": [{"request": SAMPLES["gemini embeddings"]}]}}
    yield (
        "gemini",
        "/gemini/v1beta/models/gemini-embedding-001:asyncBatchEmbedContent",
        (JSON,),
        {"batch": {"inputConfig": vectors}},
    )
    hooks = {"uris": [_HOOK], "userMetadata": {"a": "b"}}
    yield (
        "gemini",
        f"{generate}:batchGenerateContent",
        (JSON,),
        {"batch": {"inputConfig": inline, "webhookConfig": hooks}},
    )
    types = {"event_types": ["batch.completed"]}
    yield "openai", "/openai/v1/webhook_endpoints", (JSON,), {"name": "a", "url": _HOOK, **types}
    yield "openai", f"/openai/v1/webhook_endpoints/{known.endpoint}", (JSON,), {"name": "b", "url": _HOOK, **types}
    yield "openai", f"/openai/v1/webhook_endpoints/{known.endpoint}/test", (JSON,), {"event_type": "batch.failed"}
    yield "gemini", "/gemini/v1/webhooks", (JSON,), {"uri": _HOOK, "subscribed_events": ["batch.failed"], "name": "a"}
    yield "gemini", f"{generate}:countTokens", (JSON,), {"generateContentRequest": SAMPLES["gemini"]}
    start = (JSON, ("x-goog-upload-protocol", "resumable"), ("x-goog-upload-command", "start"))
    file = {"file": {"display_name": "d", "mimeType": "a/b", "size_bytes": 5, "name": "files/fuzz"}}
    yield "gemini", "/gemini/upload/v1beta/files", start, file


def bad_json(known: Seeds) -> Iterator[Case]:
    """Bodies that are no JSON, or no object, wherever one is taken."""
    for dialect, target, headers, _ in _takers(known):
        for name, raw in BAD_JSON.items():
            taken = ("upload" in target and name == "nothing") or (dialect == "gemini" and name == "single quotes")
            yield Case(
                name=f"{target}: {name}",
                request=_post(dialect, target, raw, *headers),
                must=() if taken else (400,),
            )


def wrong_members(known: Seeds) -> Iterator[Case]:
    """Every member of every body, of every wrong type."""
    for dialect, target, headers, body in _takers(known):
        for name, raw in mutations(body):
            yield Case(name=f"{target}: {name}", request=_post(dialect, target, raw, *headers))


def headers(known: Seeds) -> Iterator[Case]:
    """Keys, versions, lengths, offsets, types and commands that are none."""
    odd = (
        "",
        " ",
        "bad-key",
        "x" * 9000,
        "\xff",
        "\xb2",
        "-1",
        "1.5",
        "9" * 30,
        "9" * 5000,
        "Bearer",
        "null",
        "a,b",
        "; boundary=",
        "multipart/form-data",
        "start",
        "upload, finalize, upload",
        ",,,",
        "query, cancel",
        "finalize",
    )
    names = {
        "openai": ("authorization", "content-type", "accept", "openai-organization", "expect"),
        "anthropic": ("authorization", "x-api-key", "anthropic-version", "anthropic-beta", "content-type"),
        "gemini": (
            "x-goog-api-key",
            "content-type",
            "x-goog-upload-protocol",
            "x-goog-upload-command",
            "x-goog-upload-offset",
            "x-goog-upload-header-content-length",
            "x-goog-upload-header-content-type",
            "x-goog-upload-file-name",
        ),
    }
    paths = {
        "openai": ("/openai/v1/files", "/openai/v1/batches"),
        "anthropic": ("/anthropic/v1/messages/batches",),
        "gemini": ("/gemini/upload/v1/files", f"/gemini/upload/v1/files?{known.session}", "/gemini/v1/batches"),
    }
    for dialect in DIALECTS:
        for path in paths[dialect]:
            for name in names[dialect]:
                for value in odd:
                    kept = [pair for pair in KEYS[dialect] if pair[0] != name]
                    request = Request(method="POST", target=path, headers=(*kept, (name, value)), body=b"{}")
                    yield Case(name=f"{path} {name}: {value[:20]!r}", request=request)
    for path in ("/gemini/upload/v1/files", f"/gemini/upload/v1/files?{known.session}"):
        for value in odd:
            for command in ("start", "upload", "upload, finalize", "query"):
                more = (
                    ("x-goog-upload-protocol", "resumable"),
                    ("x-goog-upload-command", command),
                    ("x-goog-upload-offset", value),
                    ("x-goog-upload-header-content-length", value),
                )
                yield Case(name=f"{path} {command} {value[:20]!r}", request=_post("gemini", path, b"{}", *more))
    for dialect in DIALECTS:
        yield Case(
            name=f"{dialect} without a key",
            request=Request(method="GET", target=f"{description(dialect).prefix}/models"),
        )


def forms(known: Seeds) -> Iterator[Case]:
    """Multipart bodies that are not as they should be."""
    file = 'content-disposition: form-data; name="file"; filename="a.jsonl"'
    purpose = ('content-disposition: form-data; name="purpose"', b"batch")
    anchor = ('content-disposition: form-data; name="expires_after[anchor]"', b"created_at")
    good = multipart([purpose, (file, b"{}")])
    bodies: dict[str, bytes] = {
        "nothing": b"",
        "no end": good[:-6],
        "only an end": b"--fuzz--\r\n",
        "another boundary": good.replace(b"--fuzz", b"--other"),
        "line feeds": good.replace(b"\r\n", b"\n"),
        "a preamble": b"preamble\r\n" + good,
        "a tail": good + b"tail" * 1000,
        "no file": multipart([purpose]),
        "no purpose": multipart([(file, b"{}")]),
        "a part without a name": multipart([("content-disposition: form-data", b"x"), purpose, (file, b"{}")]),
        "a part without a disposition": multipart([("content-type: a/b", b"x"), purpose, (file, b"{}")]),
        "a part without headers": b"--fuzz\r\n\r\nx\r\n" + good,
        "a header without a colon": multipart([("nonsense", b"x"), (file, b"{}")]),
        "a header of bad bytes": b"--fuzz\r\n\xff\xfe: \xff\r\n\r\nx\r\n" + good,
        "a header of NUL": b'--fuzz\r\ncontent-disposition: form-data; name="a\x00b"\r\n\r\nx\r\n' + good,
        "a header of 1 MB": multipart([("x-a: " + "a" * 1_000_000, b"x"), purpose, (file, b"{}")]),
        "a header name of 1 MB": multipart([("a" * 1_000_000 + ": x", b"x"), purpose, (file, b"{}")]),
        "1,000 headers": multipart(
            [("\r\n".join(f"x-{number}: a" for number in range(1000)), b"x"), purpose, (file, b"{}")]
        ),
        "unending headers": b"--fuzz\r\n" + b"x-a: b\r\n" * 50_000,
        "10,000 parts": multipart(
            [(f'content-disposition: form-data; name="a{number}"', b"") for number in range(10_000)]
        ),
        "10,000 purposes": multipart([purpose] * 10_000),
        "two files": multipart([purpose, (file, b"{}"), (file, b"[]")]),
        "a file as purpose": multipart(
            [('content-disposition: form-data; name="purpose"; filename="a"', b"batch"), (file, b"{}")]
        ),
        "an encoded name": multipart(
            [("content-disposition: form-data; name*=utf-8''file; filename*=nonsense''%ff%zz", b"{}"), purpose]
        ),
        "an open quote": multipart([('content-disposition: form-data; name="file; filename="a', b"{}"), purpose]),
        "a nested form": multipart(
            [
                purpose,
                (
                    file + "\r\ncontent-type: multipart/mixed; boundary=inner",
                    multipart([(file, b"x")], boundary="inner"),
                ),
            ]
        ),
        "a transfer encoding": multipart([purpose, (file + "\r\ncontent-transfer-encoding: base64", b"!!!")]),
        "a content length of its own": multipart([purpose, (file + "\r\ncontent-length: 99999999999", b"{}")]),
        "a boundary in the content": multipart([purpose, (file, b"--fuzz --fuzz\r\n-- fuzz\r--fuzz\n--fuzz")]),
        "a purpose of 1 MB": multipart(
            [('content-disposition: form-data; name="purpose"', b"a" * 1_000_000), (file, b"{}")]
        ),
        "a purpose of bad bytes": multipart(
            [('content-disposition: form-data; name="purpose"', b"\xff\xfe\x00"), (file, b"{}")]
        ),
    }
    for value in (
        b"",
        b"-1",
        b"3600.5",
        b"1e5",
        b"\xc2\xb2",
        b"\xd9\xa3",
        b"9" * 30,
        b"9" * 4000,
        b"9" * 5000,
        b"\x00",
        b"null",
        b" 3600 ",
        b"+3600",
    ):
        seconds = ('content-disposition: form-data; name="expires_after[seconds]"', value)
        bodies[f"seconds {value[:10]!r}"] = multipart([purpose, anchor, seconds, (file, b"{}")])
        bodies[f"anchor {value[:10]!r}"] = multipart([purpose, (anchor[0], value), seconds, (file, b"{}")])
    kind = ("content-type", "multipart/form-data; boundary=fuzz")
    for target in ("/openai/v1/files", f"/openai/v1/uploads/{known.upload}/parts"):
        for name, body in bodies.items():
            yield Case(name=f"{target}: {name}", request=_post("openai", target, body, kind))
    related = ("content-type", "multipart/related; boundary=fuzz")
    protocol = ("x-goog-upload-protocol", "multipart")
    described = ("content-type: application/json", b'{"file":{"displayName":"d"}}')
    bodies |= {
        "one part": multipart([described]),
        "three parts": multipart([described] * 3),
        "two contents": multipart([("content-type: a/b", b"x")] * 2),
        **{
            f"metadata {name}": multipart([("content-type: application/json", raw), ("content-type: a/b", b"x")])
            for name, raw in BAD_JSON.items()
        },
        **{
            f"metadata {wrong!r:.20}": multipart(
                [("content-type: application/json", json.dumps({"file": wrong}).encode()), ("content-type: a/b", b"x")]
            )
            for wrong in WRONG
        },
        "metadata of 3 MB": multipart(
            [("content-type: application/json", b" " * 3_000_000 + b"{}"), ("content-type: a/b", b"x")]
        ),
        "a type of bad bytes": multipart([described, ("content-type: ??", b"x")]).replace(b"??", b"\xff\xfe"),
    }
    for name, body in bodies.items():
        yield Case(
            name=f"gemini multipart: {name}",
            request=_post("gemini", "/gemini/upload/v1/files", body, related, protocol),
        )
    boundaries = (
        "",
        '""',
        "b" * 256,
        "b" * 257,
        "b" * 5000,
        "\xe4",
        "a b",
        '"a;b"',
        '"',
        "-",
        "--",
        "a; boundary=fuzz",
        "\x7f",
    )
    for boundary in boundaries:
        for target, dialect in (("/openai/v1/files", "openai"), ("/gemini/upload/v1/files", "gemini")):
            odd = ("content-type", f"multipart/form-data; boundary={boundary}")
            yield Case(name=f"{target} boundary {boundary[:20]!r}", request=_post(dialect, target, good, odd))
    for written in (
        "multipart/form-data",
        "multipart/",
        "multipart/form-data;",
        "multipart/form-data; boundary",
        "MULTIPART/FORM-DATA; BOUNDARY=fuzz",
        "text/plain",
        "application/json",
    ):
        yield Case(
            name=f"content type {written}", request=_post("openai", "/openai/v1/files", good, ("content-type", written))
        )


def names(known: Seeds) -> Iterator[Case]:
    """Ids, file names and names of uploads that lead elsewhere."""
    for dialect in DIALECTS:
        for operation in description(dialect).operations:
            if "{" not in operation.path.replace("{version}", ""):
                continue
            for name in NAMES:
                for written in {
                    quote(name, safe=""),
                    quote(quote(name, safe=""), safe=""),
                    quote(name, safe="/%.\\~;"),
                }:
                    path = operation.path.replace("{version}", "v1")
                    for hole in ("file_id", "upload_id", "batch_id", "model_id", "model", "file", "batch"):
                        path = path.replace("{" + hole + "}", written)
                    target = description(dialect).prefix + path
                    request = Request(method=operation.method, target=target, headers=(*KEYS[dialect], JSON))
                    yield Case(name=f"{operation.method} {target[:100]}", request=request)
    for name in NAMES:
        start = (("x-goog-upload-protocol", "resumable"), ("x-goog-upload-command", "start"))
        for member in ("name", "displayName", "mimeType"):
            body_ = json.dumps({"file": {member: name}}).encode()
            yield Case(
                name=f"an upload with {member} {name[:30]!r}",
                request=_post("gemini", "/gemini/upload/v1/files", body_, *start),
            )
        asked = json.dumps({"filename": name, "purpose": "batch", "bytes": 1, "mime_type": name}).encode()
        yield Case(name=f"parts for {name[:30]!r}", request=_post("openai", "/openai/v1/uploads", asked))
        used = json.dumps({"batch": {"displayName": name, "inputConfig": {"fileName": f"files/{name}"}}}).encode()
        yield Case(
            name=f"a batch of {name[:30]!r}",
            request=_post("gemini", "/gemini/v1/models/gemini-2.5-flash:batchGenerateContent", used),
        )
        used = json.dumps({"input_file_id": name, "endpoint": "/v1/responses", "completion_window": "24h"}).encode()
        yield Case(name=f"a batch of the file {name[:30]!r}", request=_post("openai", "/openai/v1/batches", used))


def queries(known: Seeds) -> Iterator[Case]:
    """Limits, cursors and page tokens of all sorts."""
    lists = {
        "openai": ("/openai/v1/files", "/openai/v1/batches", "/openai/v1/models"),
        "anthropic": ("/anthropic/v1/messages/batches", "/anthropic/v1/models"),
        "gemini": (
            "/gemini/v1/files",
            "/gemini/v1/batches",
            "/gemini/v1beta/models",
            "/gemini/v1/tunedModels",
            "/gemini/upload/v1/files",
        ),
    }
    for dialect, targets in lists.items():
        for target in targets:
            for query in QUERIES:
                request = Request(
                    method="POST" if "upload" in target else "GET", target=f"{target}?{query}", headers=KEYS[dialect]
                )
                yield Case(name=f"{target}?{query[:60]}", request=request)


def methods(known: Seeds) -> Iterator[Case]:
    """Every method on every path, and paths that are none."""
    ids = {
        "openai": {"file_id": known.file, "batch_id": known.batch, "upload_id": known.upload, "model": "gpt-4o-mini"},
        "anthropic": {"batch_id": known.msgbatch, "model_id": "claude-haiku-4-5"},
        "gemini": {
            "version": "v1",
            "file": known.gemini_file.removeprefix("files/"),
            "batch": known.gemini_batch,
            "model": "gemini-2.5-flash",
        },
    }
    for dialect in DIALECTS:
        paths = {operation.path for operation in description(dialect).operations}
        for path in sorted(paths):
            for hole, value in ids[dialect].items():
                path = path.replace("{" + hole + "}", value)
            target = description(dialect).prefix + path
            described = {each.method for each in description(dialect).operations if each.pattern.fullmatch(path)}
            for method in (*(each.upper() for each in METHODS), "CONNECT", "PROPFIND", "get", "X-" + "A" * 40):
                if method in described and method == "DELETE":
                    continue  # the seeds are still needed
                must = () if method in described else (404, 405)
                yield Case(
                    name=f"{method} {target}",
                    request=Request(method=method, target=target, headers=KEYS[dialect]),
                    must=must,
                )
        for path in (
            "/",
            "//",
            "/%",
            "/%2e%2e/",
            "/../",
            "/v1",
            "/v2/batches",
            "/files/a/b/c",
            "/batches/",
            "/;a",
            "/\\",
            "/%00",
            "/" + "a" * 20_000,
        ):
            for method in ("GET", "POST"):
                target = description(dialect).prefix + path
                yield Case(
                    name=f"{method} {target[:60]}", request=Request(method=method, target=target, headers=KEYS[dialect])
                )


def hardly_http(known: Seeds) -> Iterator[Case]:
    """Lengths that lie, chunks that are none, heads without end: an answer is due, but any refusal will do."""
    post = Request(method="POST", target="/openai/v1/batches", headers=(*KEYS["openai"], JSON), framed=True)
    create = Request(
        method="POST", target="/anthropic/v1/messages/batches", headers=(*KEYS["anthropic"], JSON), framed=True
    )
    upload = Request(
        method="POST",
        target="/gemini/upload/v1/files",
        headers=(*KEYS["gemini"], ("x-goog-upload-protocol", "raw")),
        framed=True,
    )

    def head(request: Request, *lines: str) -> bytes:
        return request.head()[:-2] + "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n"

    for request in (post, create, upload):
        for name, pieces in {
            "a length too short": (head(request, "content-length: 1"), b"{}" * 1000),
            "a length that is none": (head(request, "content-length: x"), b"{}"),
            "a negative length": (head(request, "content-length: -1"), b"{}"),
            "a length of 30 digits": (head(request, "content-length: " + "9" * 30), b""),
            "two lengths": (head(request, "content-length: 2", "content-length: 3"), b"{}x"),
            "a length and chunks": (head(request, "content-length: 2", "transfer-encoding: chunked"), chunked([b"{}"])),
            "an unknown coding": (head(request, "transfer-encoding: gzip, chunked"), chunked([b"{}"])),
            "chunks": (head(request, "transfer-encoding: chunked"), chunked([b"{", b"}"])),
            "chunks of a byte": (
                head(request, "transfer-encoding: chunked"),
                chunked([b"{"] + [b" "] * 20_000 + [b"}"]),
            ),
            "a chunk of a bad length": (head(request, "transfer-encoding: chunked"), b"zz\r\n{}\r\n0\r\n\r\n"),
            "a chunk of a huge length": (head(request, "transfer-encoding: chunked"), b"f" * 40 + b"\r\n{}\r\n"),
            "a chunk with an extension": (
                head(request, "transfer-encoding: chunked"),
                b"2;" + b"a" * 50_000 + b"\r\n{}\r\n0\r\n\r\n",
            ),
            "trailers": (
                head(request, "transfer-encoding: chunked"),
                b"2\r\n{}\r\n0\r\n" + b"x: y\r\n" * 100 + b"\r\n",
            ),
            "a wait for 100": (head(request, "content-length: 2", "expect: 100-continue"), b"{}"),
            "an expectation that is none": (head(request, "content-length: 2", "expect: nonsense"), b"{}"),
            "an upgrade": (head(request, "content-length: 2", "connection: upgrade", "upgrade: websocket"), b"{}"),
            "two hosts": (head(request, "content-length: 2", "host: other"), b"{}"),
            "a folded header": (head(request, "content-length: 2", "x: a", " b"), b"{}"),
        }.items():
            plain = name.startswith(("chunks", "a wait", "an expectation", "an upgrade"))
            yield Case(name=f"{request.target}: {name}", request=request, raw=pieces, may_drop=not plain)
    get = "GET /openai/v1/models HTTP/1.1\r\nhost: a\r\n"
    probe = Request(method="GET", target="/")
    for name, raw in {
        "10,000 headers": get.encode() + b"".join(b"x-%d: a\r\n" % number for number in range(10_000)) + b"\r\n",
        "a header of 1 MB": get.encode() + b"x: " + b"a" * 1_000_000 + b"\r\n\r\n",
        "a target of 1 MB": b"GET /openai/v1/" + b"a" * 1_000_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n",
        "no host": b"GET /openai/v1/models HTTP/1.1\r\n\r\n",
        "HTTP/1.0": b"GET /openai/v1/models HTTP/1.0\r\n\r\n",
        "HTTP/9.9": b"GET /openai/v1/models HTTP/9.9\r\nhost: a\r\n\r\n",
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n",
        "bad bytes": b"\xff\xfe\x00" * 100 + b"\r\n\r\n",
        "a target of bad bytes": b"GET /openai/v1/\xff\xfe HTTP/1.1\r\nhost: a\r\n\r\n",
        "a full target": b"GET http://127.0.0.1/openai/v1/models HTTP/1.1\r\nhost: a\r\n\r\n",
        "a star": b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
        "a header with NUL": get.encode() + b"x: a\x00b\r\n\r\n",
        "a host of bad bytes": b'GET /gemini/v1/files HTTP/1.1\r\nhost: \xff"<>\r\nx-goog-api-key: a\r\n\r\n',
        "line feeds": get.replace("\r\n", "\n").encode() + b"\n",
    }.items():
        yield Case(name=name, request=probe, raw=(raw,), may_drop=len(raw) > 60_000)
    for dialect, target in (
        ("gemini", "/gemini/upload/v1/files"),
        ("anthropic", f"/anthropic/v1/messages/batches/{known.msgbatch}"),
    ):
        for host in ("\xe4", "a b", '"', "x" * 10_000, "[::1", "a:99999999", "evil\t"):
            more = (("host", host), ("x-goog-upload-protocol", "resumable"), ("x-goog-upload-command", "start"))
            request = Request(
                method="POST" if dialect == "gemini" else "GET", target=target, headers=(*KEYS[dialect], *more)
            )
            yield Case(
                name=f"{target} host {host[:20]!r}",
                request=request,
                raw=(request.head().replace(b"host: 127.0.0.1\r\n", b""),),
            )


def deep(known: Seeds) -> Iterator[Case]:
    """Nesting at and around what a parser bears, in whole bodies."""
    for dialect, target, more, _ in _takers(known):
        for depth in (*range(900, 1000, 3), 2_000, 20_000):
            for wrap in (
                b'{"a":%b}',
                b'{"batch":%b}',
                b'{"requests":%b}',
                b'{"file":{"displayName":%b}}',
                b'{"model":"gpt-4o-mini","input":"a","tools":%b}',
            ):
                yield Case(
                    name=f"{target}: {depth} levels of {wrap!r}",
                    request=_post(dialect, target, wrap % nested(depth), *more),
                )


FAMILIES = {
    each.__name__: each
    for each in (bad_json, wrong_members, headers, forms, names, queries, methods, hardly_http, deep)
}
