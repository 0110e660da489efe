"""The files that a transform's process can reach, restricted by the kernel (landlock(7)).

Landlock does not cover changes of modes, owners, times and extended attributes: seccomp.py does.
"""

import ctypes
import os
import struct
import sys
from contextlib import suppress
from pathlib import Path

# System call numbers, the same on all architectures.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH, _VERSION = 1, 1
# Access rights (linux/landlock.h).
_WRITE, _READ, _LIST, _REMOVE, _MAKE, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 5, 1 << 8, 1 << 14
_OWN = _WRITE | _READ | _LIST | _REMOVE | _MAKE | _TRUNCATE
#: Rights to files, by the ABI version of Landlock that added them.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: 1 << 13, 3: _TRUNCATE, 5: 1 << 15}
#: All rights to TCP (since ABI version 4); to signals and abstract sockets of other processes (6).
_NETWORK, _NETWORK_VERSION = 0b11, 4
_SCOPES, _SCOPES_VERSION = 0b11, 6


def forbid_files(libc: ctypes.CDLL, readable: Path | None) -> bool:
    """Allow this thread no files but the current folder, Python and its libraries.

    Without it the process could read what the worker's user can: credentials, and the worker's
    memory through /proc. Folders cannot be listed except the current one, `readable` and those of
    Python's modules, which are listed to import from them. Where the kernel can, TCP and signals
    to other processes are forbidden as well.

    Args:
        libc: The C library.
        readable: A further folder that can be read.

    Returns:
        Whether the restrictions are in force; False if the kernel has no Landlock.
    """
    version = libc.syscall(_CREATE_RULESET, None, 0, _VERSION)
    if version < 1:
        return False
    handled = sum(rights for since, rights in _FILE_RIGHTS.items() if since <= version)
    network = _NETWORK if version >= _NETWORK_VERSION else 0
    scopes = _SCOPES if version >= _SCOPES_VERSION else 0
    # A kernel accepts a structure with fields that it does not know if they are zero.
    attributes = struct.pack("QQQ", handled, network, scopes)
    rules = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        return False
    for path, access in _allowed(readable).items():
        with suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            rule = struct.pack("=Qi", access & handled, descriptor)
            libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, rule, 0)
            os.close(descriptor)
    enforced = bool(libc.syscall(_RESTRICT_SELF, rules, 0) == 0)
    os.close(rules)
    return enforced


def _allowed(readable: Path | None) -> dict[str, int]:
    """Return the rights to each folder and what is below it."""
    package = str(Path(__file__).parents[1])
    installed = (sys.prefix, sys.base_prefix)
    libraries = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", *installed)
    allowed = dict.fromkeys(libraries, _READ)
    # Not every folder of sys.path: the worker's is a whole checkout where it runs from one.
    modules = [path for path in sys.path if path.startswith(installed) and Path(path).is_dir()]
    allowed |= dict.fromkeys([package, *modules], _READ | _LIST)
    if readable:
        allowed[str(readable)] = _READ | _LIST
    return allowed | {str(Path.cwd()): _OWN}
