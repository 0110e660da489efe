"""Error messages of Pulumi's engine and its OpenStack provider, rewritten for the user."""

import re

from clients.connection import fault

#: The provider logs an error with its source position, and returns it once more.
_FRAME = re.compile(
    r"^(?:sdk-v2/\S+: (?:sdk\.\w+: )?)"
    r"|^(?:\w+ urn:\S+: )?1 error occurred:\s+\* "
    r"|^an unhandled error occurred: "
    r"|: provider=openstack@\S+$"
)
#: gophercloud's ErrUnexpectedResponseCode.
_UNEXPECTED_RESPONSE = re.compile(
    r"Expected HTTP response code \[[\d ]+\] when accessing \[(?P<request>[^\]]+)\], "
    r"but got (?P<code>\d+) instead: (?P<body>.*)$",
    re.DOTALL,
)
#: Pattern in a message -> what to do about it. The first match is taken.
_ADVICE: tuple[tuple[str, str], ...] = (
    (
        r"incorrect passphrase|passphrase must be set|could not (?:get|create) secrets manager",
        "The passphrase does not fit the stack: restore the file that 'init' made, or name the "
        "right one with './pipeline init {stack} --passphrase-file FILE'.",
    ),
    (
        r"[Nn]o space left on device|ENOSPC|Disk quota exceeded",
        "The disk is full: free some space, then run the same command again; the state records "
        "what was created as far as it could be written.",
    ),
    (
        r"[Qq]uota exceeded|OverQuota|overLimit",
        "The cloud's quota is used up: remove something there or ask its support for more, then "
        "run the same command again.",
    ),
    (
        r"not allowed for managing additional",
        "The application credential is restricted: make an unrestricted one for clouds.yaml, or "
        "set s3AccessKey and s3SecretKey.",
    ),
    (
        r"Delegated tokens cannot access credentials",
        "This cloud's Keystone lets no application credential make the object store's keys: put a "
        "login by password into clouds.yaml, or set s3AccessKey and s3SecretKey.",
    ),
    (
        r"no resource plugin|failed to (?:install|download) .*plugin|could not download plugin",
        "Pulumi could not download its OpenStack provider: check that this computer reaches the "
        "internet, then run the same command again.",
    ),
    (
        r"Key pair '[^']*' already exists|database instance .* not in this stack's state",
        "It is left over from an interrupted 'up' or a lost state: './pipeline strays{flag}' lists "
        "such resources and './pipeline strays{flag} --remove' deletes them, data included.",
    ),
    (
        r"Error deleting openstack_networking_secgroup_v2",
        "Another machine uses the pipeline's security group: remove the group from it ('openstack "
        "port list --security-group ID' finds it), then run the same command again.",
    ),
    (
        r"no such host|[Cc]onnection refused|i/o timeout|[Nn]ame or service not known",
        "A service cannot be reached: check the network and the addresses in clouds.yaml, then "
        "run the same command again.",
    ),
)


def simplify(message: str) -> str:
    """Strip the provider's framing and replace a JSON body by the cloud's own message.

    Returns:
        For example "Error creating X: POST http://… answered 409: Quota exceeded."; a message
        without framing or JSON is returned unchanged.
    """
    text = message.strip()
    while (bare := _FRAME.sub("", text).strip()) != text:
        text = bare
    found = _UNEXPECTED_RESPONSE.search(text)
    if found is None:
        return text
    body = found["body"].strip()
    return f"{text[: found.start()]}{found['request']} answered {found['code']}: " + (
        fault(body) or body
    )


def advice(message: str, stack: str) -> str:
    """Return what to do about an error of the engine or a cloud, "" if unknown."""
    flag = "" if stack == "local" else f" --stack {stack}"
    for pattern, sentence in _ADVICE:
        if re.search(pattern, message):
            return sentence.format(stack=stack, flag=flag)
    return ""


def error_lines(output: str) -> list[str]:
    """Return the `error:` lines of a failed `pulumi` command, each once, else its last lines."""
    lines = [line.strip().removeprefix("stderr: ") for line in output.splitlines()]
    errors = [line.removeprefix("error:").strip() for line in lines if line.startswith("error:")]
    return list(dict.fromkeys(errors)) or [line for line in lines if line][-3:]
