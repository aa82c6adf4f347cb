"""What Schemathesis cannot know of the API, told with each request that it makes.

A request that keeps to the description is to be accepted. Some values are described as widely as a schema can, and judged more
narrowly: such a request gets one that is good. Requests that break the description go out as they were made.
"""

import os
import uuid

import schemathesis
from schemathesis import GenerationMode


def is_positive(case):
    return case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE


@schemathesis.hook
def before_call(ctx, case, kwargs):
    if is_positive(case) and case.query:
        # Opaque: good is only what a Link header gave.
        case.query.pop("cursor", None)
    if is_positive(case) and case.path.startswith("/deliveries/{id}"):
        # No request makes one whose id an answer says: this is of an event that was posted before.
        case.path_parameters["id"] = os.environ["POSTRIDER_TEST_DELIVERY"]
    if is_positive(case) and case.headers and "Idempotency-Key" in case.headers:
        # A key names one request: with another one it is refused.
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    if isinstance(case.body, dict):
        amend(case.body, is_positive(case))


def amend(body, is_positive):
    # What ends must end in the future and behind its beginning: no schema knows the time. The years leap, as any may that is replaced.
    for name, year in [("expires_at", "2096"), ("since", "2000"), ("until", "2096")]:
        if is_positive and isinstance(body.get(name), str):
            body[name] = year + body[name][4:]
    # Its rules have tests of their own. Here nothing is to be sent to hosts that somebody may have.
    url = body.get("url")
    if isinstance(url, str) and (is_positive or "//example.com" in url):
        body["url"] = f"https://hooks.localhost/?{len(url)}"


@schemathesis.hook
def after_call(ctx, case, response):
    # GET /events/batch reads the event whose id is "batch". OpenAPI takes a path that is written out for another one than
    # /events/{id}, and so the tool finds that GET is not described there.
    if case.path == "/events/batch" and "allow" in response.headers:
        response.headers["allow"] = ["POST"]
