"""`check`: what works on this device and what does not, one sentence each."""

import secrets
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge.connection import Connection
from edge.errors import (
    BrokerUnavailable,
    LoginRefused,
    SourceUnavailable,
    SpoolBusy,
    SpoolUnusable,
)
from edge.publisher import LINK_TOPIC, login
from edge.settings import Settings, read_secret
from edge.source import is_live, open_source, shown
from edge.spool import Spool
from worker.errors import InvalidSettings

_SECONDS = 10.0
# X509_V_FLAG_NO_CHECK_TIME (X509_VERIFY_PARAM_set_flags(3)): when a certificate is valid is
# compared here, so that a wrong clock and an expired certificate can be told apart.
_NO_CHECK_TIME = 0x200000
_OTHER_HOST = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


@dataclass(frozen=True)
class Finding:
    """What one check found: whether it is fine, and a sentence."""

    is_fine: bool
    sentence: str


def check(settings: Settings) -> bool:
    """Print what is found; return whether all of it is fine."""
    findings = []
    for finding in _findings(settings):
        print(f"{'ok   ' if finding.is_fine else 'FAULT'}  {finding.sentence}", flush=True)
        findings.append(finding)
    return all(each.is_fine for each in findings)


def _findings(settings: Settings) -> Iterator[Finding]:
    is_running = False
    try:
        spool = Spool(settings.spool_folder, settings.spool.max_mb * 1_000_000, 0)
    except SpoolBusy:
        is_running = True
        yield Finding(True, f"`run` is running and uses the spool {settings.spool_folder}.")
    except SpoolUnusable as error:
        yield Finding(False, str(error))
    else:
        yield Finding(
            True,
            f"The spool {spool.folder} can be written and has {len(spool)}"
            f" picture{'s' * (len(spool) != 1)}"
            f" ({spool.size / 1e6:.1f} of {settings.spool.max_mb} MB).",
        )
        spool.close()
    yield _source(settings, is_running=is_running)
    yield from _device_broker(settings)
    if settings.cloud.address:
        yield from _cloud(settings)
    else:
        yield Finding(True, "The cloud's broker is not checked: cloud.address is not set.")


def _source(settings: Settings, *, is_running: bool) -> Finding:
    name = f"The source {shown(settings.source)}"
    if is_running and is_live(settings.source):
        return Finding(True, f"{name} is not opened, since `run` uses it: see its log.")
    try:
        source = open_source(settings)
    except SourceUnavailable as error:
        return Finding(False, str(error))
    try:
        deadline = time.monotonic() + _SECONDS + settings.capture.timeout_seconds
        frame = None
        while not (frame or source.problem or source.has_ended or time.monotonic() > deadline):
            frame = source.read(0.5)
    except SourceUnavailable as error:
        return Finding(False, str(error))
    finally:
        source.close()
    if frame:
        return Finding(True, f"{name} yields pictures of {frame.image.width}x{frame.image.height}.")
    problem = source.problem or f"{name} yields no picture"
    remedy = "is it connected, used by another program, allowed for this user (group `video`)?"
    if "://" in settings.source:
        remedy = "check its address, user and password with a player, such as ffplay."
    return Finding(False, f"{problem}: {remedy}" if is_live(settings.source) else f"{problem}.")


def _device_broker(settings: Settings) -> Iterator[Finding]:
    """Try the broker of this device, and ask it whether it reaches the cloud."""
    broker, heard = settings.broker, dict[str, bytes]()
    name = f"This device's broker {broker.host}:{broker.port}"
    try:
        address, client = (broker.host, broker.port), f"check-{secrets.token_hex(4)}"
        user = login(settings)
        with Connection(address, client, user, on_message=heard.__setitem__) as connection:
            connection.subscribe(LINK_TOPIC)
            deadline = time.monotonic() + 1
            while LINK_TOPIC not in heard and time.monotonic() < deadline:
                connection.wait(0.2)
    except LoginRefused:
        yield Finding(
            False, f"{name} refuses the password in {broker.password_file}: install the kit again."
        )
    except BrokerUnavailable as error:
        yield Finding(False, f"{str(error).rstrip('.')}: start the broker of this device.")
    except InvalidSettings as error:
        yield Finding(False, str(error))
    else:
        yield Finding(True, f"{name} accepts the camera.")
        if heard.get(LINK_TOPIC) == b"0":
            yield Finding(False, f"{name} is not linked to the cloud's: see below, or its log.")
        elif heard:
            yield Finding(True, f"{name} is linked to the cloud's.")


def _cloud(settings: Settings) -> Iterator[Finding]:
    """Try the cloud's broker as this device's does: address, certificate, clock, password."""
    cloud = settings.cloud
    name = f"The cloud's broker {cloud.address}"
    authority = settings.path(cloud.authority)
    try:
        context = ssl.create_default_context(cafile=authority)
        password = read_secret(settings.path(cloud.password_file))
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or "it has no certificate"
        yield Finding(False, f"The authority {authority} cannot be read: {reason}.")
        return
    except InvalidSettings as error:
        yield Finding(False, str(error))
        return
    try:
        begin, end = _validity(settings, authority)
    except ssl.SSLCertVerificationError as error:
        what = "is for another host" if error.verify_code in _OTHER_HOST else "is not valid"
        yield Finding(
            False,
            f"{name} has a certificate that {what} ({error.verify_message}): check cloud.address,"
            " or write the kit again with ./pipeline edge-kit.",
        )
        return
    except OSError as error:
        reason = error.strerror or str(error) or "it does not answer"
        yield Finding(
            False,
            f"{name} cannot be reached ({reason}): check the network, and that `mqtt.cidrs` of the"
            " stack has this device's public address.",
        )
        return
    now = datetime.now(UTC)
    yield _clock(now, begin, end)
    if not begin <= now <= end:
        yield Finding(
            False,
            f"The certificate of {cloud.address} is valid from {begin:%Y-%m-%d} to {end:%Y-%m-%d},"
            " not now: set the clock, or, if that is right, renew it by ./pipeline up.",
        )
        return
    yield Finding(True, f"The certificate of {cloud.address} is valid until {end:%Y-%m-%d}.")
    client = f"{settings.camera}-check-{secrets.token_hex(4)}"
    try:
        with Connection((cloud.host, cloud.port), client, (settings.camera, password), context):
            yield Finding(True, f"{name} accepts the password of camera {settings.camera}.")
    except LoginRefused:
        yield Finding(
            False,
            f"{name} refuses the password of camera {settings.camera}: it was rotated, or the"
            " stack's settings have no such camera; write the kit again with ./pipeline edge-kit.",
        )
    except (BrokerUnavailable, OSError) as error:
        yield Finding(False, f"{name} ended the connection: {str(error).rstrip('.')}.")


def _validity(settings: Settings, authority: Path) -> tuple[datetime, datetime]:
    """Return from when until when the broker's certificate is valid; all else of it is verified."""
    context = ssl.create_default_context(cafile=authority)
    context.verify_flags |= _NO_CHECK_TIME
    address = (settings.cloud.host, settings.cloud.port)
    with (
        socket.create_connection(address, _SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=address[0]) as encrypted,
    ):
        certificate = encrypted.getpeercert() or {}
    begin, end = (
        datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate[key])), UTC)
        for key in ("notBefore", "notAfter")
    )
    return begin, end


def _clock(now: datetime, begin: datetime, end: datetime) -> Finding:
    """Say what the clock shows, and whether it can be right."""
    shown_as = f"The clock of this device shows {now:%Y-%m-%d %H:%M:%S} UTC"
    if not begin <= now <= end:
        return Finding(False, f"{shown_as}: if that is wrong, run `timedatectl set-ntp true`.")
    if _is_synchronized() is False:
        return Finding(True, f"{shown_as}, not synchronized: `timedatectl set-ntp true` does that.")
    return Finding(True, f"{shown_as}.")


def _is_synchronized() -> bool | None:
    """Return whether the kernel's clock follows a time server; None where nobody knows."""
    command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(answer.stdout.strip())
