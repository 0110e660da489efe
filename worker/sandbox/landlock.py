"""The files that a transform's process can reach, restricted by the kernel (landlock(7)).

Landlock does not cover changes of modes, owners, times and extended attributes: seccomp.py does.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable, Mapping
from contextlib import suppress

# System call numbers, the same on all architectures.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH, _VERSION = 1, 1
# Access rights (linux/landlock.h).
_WRITE, _TRUNCATE, _IOCTL = 1 << 1, 1 << 14, 1 << 15
_REMOVE_FILE, _MAKE_FILE = 1 << 5, 1 << 8
_REMOVE_FOLDER, _MAKE_FOLDER, _MAKE_SOCKET, _MAKE_PIPE, _MAKE_LINK = (
    1 << bit for bit in (4, 7, 9, 10, 12)
)
_RENAME_BETWEEN_FOLDERS = 1 << 13
#: Rights to a folder and what is below it, or to a file.
EXECUTE, READ, LIST = 1 << 0, 1 << 2, 1 << 3
DEVICE = READ | _WRITE | _IOCTL
#: To make, change and remove files.
FILES = _WRITE | READ | LIST | _REMOVE_FILE | _MAKE_FILE | _TRUNCATE
#: And everything that is no device.
TREE = (
    FILES
    | _REMOVE_FOLDER
    | _MAKE_FOLDER
    | _MAKE_SOCKET
    | _MAKE_PIPE
    | _MAKE_LINK
    | _RENAME_BETWEEN_FOLDERS
)
#: Rights, and the open file or folder.
Rule = tuple[int, int]
_OF_FILES = EXECUTE | READ | _WRITE | _TRUNCATE | _IOCTL
#: Rights to files, by the ABI version of Landlock that added them.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: _RENAME_BETWEEN_FOLDERS, 3: _TRUNCATE, 5: _IOCTL}
#: All rights to TCP (since ABI version 4); to signals and abstract sockets of other processes (6).
_NETWORK, _NETWORK_VERSION = 0b11, 4
_SCOPES, SCOPES_VERSION = 0b11, 6


def open_rules(allowed: Mapping[str, int]) -> list[Rule]:
    """Open files and folders for `forbid_files`; those that cannot be opened are left out.

    Args:
        allowed: Path -> rights to it and what is below it.

    Returns:
        Rules, whose descriptors stay open.
    """
    rules = []
    for path, rights in allowed.items():
        with suppress(OSError):  # it does not exist, or this user cannot use it anyway
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            rules.append((rights if is_folder else rights & _OF_FILES, descriptor))
    return rules


def forbid_files(libc: ctypes.CDLL, rules: Iterable[Rule], *, network: bool = False) -> int:
    """Allow this thread no files but those of the rules.

    Without it the process could read what the worker's user can: credentials, and the worker's
    memory through /proc. Where the kernel can, signals to other processes are forbidden as well.

    Args:
        libc: The C library.
        rules: See `open_rules`.
        network: Whether TCP is left allowed.

    Returns:
        The ABI version of Landlock that enforces it, 0 if the kernel has none.
    """
    version = int(libc.syscall(_CREATE_RULESET, None, 0, _VERSION))
    if version < 1:
        return 0
    handled = sum(rights for since, rights in _FILE_RIGHTS.items() if since <= version)
    tcp = _NETWORK if version >= _NETWORK_VERSION and not network else 0
    scopes = _SCOPES if version >= SCOPES_VERSION else 0
    # A kernel accepts a structure with fields that it does not know if they are zero.
    attributes = struct.pack("QQQ", handled, tcp, scopes)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return 0
    for rights, descriptor in rules:
        rule = struct.pack("=Qi", rights & handled, descriptor)
        libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    enforced = libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return version if enforced else 0
