"""What Pulumi's OpenStack provider says of a refusal, said once and in one sentence."""

import re

from infra.sdk import fault

#: The provider logs an error, with where in its code, and hands it over once more.
_FRAME = re.compile(
    r"^(?:sdk-v2/\S+: (?:sdk\.\w+: )?)"
    r"|^(?:\w+ urn:\S+: )?1 error occurred:\s+\* "
    r"|^an unhandled error occurred: "
    r"|: provider=openstack@\S+$"
)
#: gophercloud's ErrUnexpectedResponseCode.
_REFUSED = re.compile(
    r"Expected HTTP response code \[[\d ]+\] when accessing \[(?P<request>[^\]]+)\], "
    r"but got (?P<code>\d+) instead: (?P<body>.*)$",
    re.DOTALL,
)


def plain(message: str) -> str:
    """`message` without its frame, and with the cloud's own words in place of its JSON.

    "Error creating X: POST http://… answered 409: Quota exceeded." Other texts stay as they are.
    """
    text = message.strip()
    while (bare := _FRAME.sub("", text).strip()) != text:
        text = bare
    refused = _REFUSED.search(text)
    if refused is None:
        return text
    body = refused["body"].strip()
    words = fault(body) or body
    return f"{text[: refused.start()]}{refused['request']} answered {refused['code']}: {words}"
