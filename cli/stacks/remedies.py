"""What to do about words that are the engine's or a cloud's, not ours."""

import re

#: Pattern in a message -> the sentence that follows it. The first that fits is taken.
_TABLE: tuple[tuple[str, str], ...] = (
    (
        r"incorrect passphrase|passphrase must be set|could not (?:get|create) secrets manager",
        "The passphrase does not fit the stack: put back the file that 'init' made, or name the "
        "right one with './pipeline init {stack} --passphrase-file FILE'.",
    ),
    (
        r"[Nn]o space left on device|ENOSPC|Disk quota exceeded",
        "The disk is full: make room, then run the same command again; what was made is kept in "
        "the state as far as it could be written.",
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
        "Pulumi could not get its provider for OpenStack: check that this computer reaches the "
        "internet, then run the same command again.",
    ),
    (
        r"Key pair '[^']*' already exists|database instance .* not in this stack's state",
        "What an 'up' that was killed, or a lost state, left is listed by './pipeline "
        "strays{flag}' and removed, data and all, by './pipeline strays{flag} --remove'.",
    ),
    (
        r"Error deleting openstack_networking_secgroup_v2",
        "Another machine uses the pipeline's security group: take it off there ('openstack port "
        "list --security-group ID' shows where), then run the same command again.",
    ),
    (
        r"no such host|[Cc]onnection refused|i/o timeout|[Nn]ame or service not known",
        "A service cannot be reached: check the network and the addresses in clouds.yaml, then "
        "run the same command again.",
    ),
)


def remedy(message: str, stack: str) -> str:
    """The sentence that goes beside an engine's message, "" where we know none."""
    flag = "" if stack == "local" else f" --stack {stack}"
    for pattern, sentence in _TABLE:
        if re.search(pattern, message):
            return sentence.format(stack=stack, flag=flag)
    return ""
