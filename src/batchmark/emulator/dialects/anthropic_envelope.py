"""The body that makes an Anthropic batch: what is around its requests is checked at once, what is in them when they are run."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from batchmark.emulator.dialects.anthropic_wire import refused
from batchmark.emulator.http import decode_object, too_deep
from batchmark.emulator.scan import ArrayScan, ScanError

__all__ = ["sift"]


class _Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One request as it should be; its parameters are looked at when the batch is run."""

    custom_id: str
    params: msgspec.Raw


_plain_item = msgspec.json.Decoder(_Item).decode
_decode_item = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def sift(body: Path, rows: Path, *, most: int, id_chars: int) -> tuple[int, str, str]:
    """Check the envelope in `body` and write its requests to `rows`, one a line; their number, and the first one's model
    and id. Raises Refused for what the service refuses at once."""
    scan = ArrayScan(body, "requests")
    good_id = re.compile(rf"[a-zA-Z0-9_-]{{1,{id_chars}}}")
    seen: set[str] = set()
    model = first = ""
    trouble: str | None = None
    try:
        with rows.open("wb", buffering=1 << 18) as out:
            for number, raw in enumerate(scan):
                if trouble is not None:
                    continue  # go on to the end: broken JSON outranks a bad request
                if number >= most:
                    trouble = f"requests: List should have at most {most} items after validation"
                    continue
                if too_deep(raw):
                    raise ScanError("nested too deeply")
                if not _in_order(raw, seen, good_id):
                    trouble = _trouble(number, raw, seen, good_id)
                if number == 0 and trouble is None:
                    model, first = _model_of(raw), next(iter(seen))
                out.write(raw)
                out.write(b"\n")
    except ScanError as error:
        message = f"The request body is not valid JSON: {error}"
        raise refused("invalid_request_error", message) from error
    extra = next((name for name in scan.envelope if name != "requests"), None)
    if extra is not None:
        trouble = f"{extra[:60]}: Extra inputs are not permitted"
    if "requests" not in scan.envelope:
        trouble = "requests: Field required"
    elif not scan.found:
        trouble = "requests: Input should be a valid list"
    elif not seen and trouble is None:
        trouble = "requests: List should have at least 1 item after validation, not 0"
    if trouble is not None:
        raise refused("invalid_request_error", trouble)
    return len(seen), model, first


def _in_order(raw: bytes, seen: set[str], good_id: re.Pattern[str]) -> bool:
    """Whether nothing is wrong with one request's envelope: the quick look, which is enough for nearly all."""
    try:
        item = _plain_item(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    name = item.custom_id
    if name in seen or good_id.fullmatch(name) is None or bytes(memoryview(item.params)[:1]) != b"{":
        return False
    seen.add(name)
    return True


def _trouble(number: int, raw: bytes, seen: set[str], good_id: re.Pattern[str]) -> str | None:
    """What is wrong with one request's envelope, if anything."""
    where = f"requests.{number}"
    try:
        item = _decode_item(raw)
        name = msgspec.json.decode(item["custom_id"]) if "custom_id" in item else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ScanError(str(error)) from error
    custom_id, params = item.get("custom_id"), item.get("params")
    if custom_id is None:
        return f"{where}.custom_id: Field required"
    if params is None:
        return f"{where}.params: Field required"
    extra = next((name for name in item if name not in ("custom_id", "params")), None)
    if extra is not None:
        return f"{where}.{extra[:60]}: Extra inputs are not permitted"
    if not isinstance(name, str):
        return f"{where}.custom_id: Input should be a valid string"
    if good_id.fullmatch(name) is None:
        return f"{where}.custom_id: String should match pattern '^{good_id.pattern}$'"
    if name in seen:
        return f"{where}.custom_id: custom_ids must be unique within a batch, found {name} twice"
    seen.add(name)
    if not bytes(params).lstrip().startswith(b"{"):
        return f"{where}.params: Input should be a valid dictionary"
    return None


def _model_of(raw: bytes) -> str:
    params = (decode_object(raw) or {}).get("params")
    model = params.get("model") if isinstance(params, dict) else None
    return model if isinstance(model, str) else ""
