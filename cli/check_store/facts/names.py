"""Object keys: which are taken, and come back as they were."""

import unicodedata
from collections.abc import Callable, Sequence

from botocore.exceptions import BotoCoreError, ClientError

from cli.check_store.fact import YES, Fact, Loss, Weight, holds
from cli.check_store.ground import Ground
from cli.check_store.store import told

_LONGEST = 1024  # bytes of UTF-8 (S3 API reference)


def _kept(keys: Sequence[str], purpose: str = "names") -> Callable[[Ground], str]:
    """Whether each of the keys can be put, listed under that very name, read and deleted."""

    def ask(ground: Ground) -> str:
        bucket = ground.bucket(purpose)
        answers = {key: _one(ground, bucket, key) for key in keys}
        lost = {key: answer for key, answer in answers.items() if answer}
        if not lost:
            together = _together(ground, bucket, keys)
            return YES if together == sorted(keys) else "not side by side"
        if len(lost) == len(keys):
            return next(iter(lost.values()))
        return "not " + ", ".join(key.encode("unicode_escape").decode() for key in lost)

    return ask


def _one(ground: Ground, bucket: str, key: str) -> str:
    """How one key fails; empty where it does not."""
    body = key.encode()
    try:
        ground.put(bucket, key, body)
        if key not in (names := ground.listed(bucket)):
            return "under another name" if names else "not listed"
        if ground.get(bucket, key) != body:
            return "other bytes"
        ground.s3.delete_object(Bucket=bucket, Key=key)
        return "not deleted" if key in ground.listed(bucket) else ""
    except ClientError as error:
        return told(error)
    except BotoCoreError:  # the store broke off
        return "no answer"
    finally:
        _empty(ground, bucket)


def _together(ground: Ground, bucket: str, keys: Sequence[str]) -> list[str]:
    try:
        for key in keys:
            ground.put(bucket, key, key.encode())
        whole = all(ground.get(bucket, key) == key.encode() for key in keys)
        return sorted(ground.listed(bucket)) if whole else []
    except (ClientError, BotoCoreError):
        return []
    finally:
        _empty(ground, bucket)


def _empty(ground: Ground, bucket: str) -> None:
    for key in ground.listed(bucket):
        ground.s3.delete_object(Bucket=bucket, Key=key)


def _too_long(ground: Ground) -> str:
    answer = _one(ground, ground.bucket("names"), "x" * (_LONGEST + 1))
    return "taken" if not answer else holds(answer.startswith("400"))


def _no_marker(ground: Ground) -> str:
    """A folder is only a part of keys: it does not appear by itself, nor stay behind."""
    bucket = ground.bucket("names")
    ground.put(bucket, "folder/x.jpg")
    alone = ground.listed(bucket) == ["folder/x.jpg"]
    ground.s3.delete_object(Bucket=bucket, Key="folder/x.jpg")
    return holds(alone and ground.listed(bucket) == [])


def _lost(names: str) -> Loss:
    return Loss(Weight.LESS, f"{names} cannot be sent: rename them first.")


FACTS = (
    Fact(
        "key-words",
        "Spaces, +, %, &, quotes, #, ? and ; are kept",
        _kept(["two words.jpg", "a+b%20c%.jpg", "'q' \"d\" <&>.jpg", "#?;=,.jpg", "(1) [2].jpg"]),
        Loss(Weight.BREAKS, "Such names, which cameras and people give, cannot be sent."),
    ),
    Fact(
        "key-alphabets",
        "Other alphabets are kept",
        _kept(["naïve.jpg", "猫.jpg", "🐈.jpg", "\u202e.jpg"]),
        Loss(Weight.BREAKS, "Such names, which people give, cannot be sent."),
    ),
    Fact(
        "key-forms",
        "Composed and decomposed accents are two keys",
        _kept([unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD")]),
        Loss(Weight.LOSES, "Of two pictures with such names one replaces the other."),
    ),
    Fact(
        "key-case",
        "Keys differ by case",
        _kept(["x.jpg", "X.JPG"]),
        Loss(Weight.LOSES, "Of two pictures with such names one replaces the other."),
    ),
    Fact(
        "key-nested",
        "A key may be the folder of another (a and a/b)",
        _kept(["a", "a/b.jpg"]),
        _lost("Names of which one is the folder of another"),
    ),
    Fact(
        "key-slashes",
        "Leading and double slashes are kept",
        _kept(["/x.jpg", "//x.jpg", "a//x.jpg"]),
        _lost("Names with leading or double slashes"),
    ),
    Fact(
        "key-dots",
        "Parts . and .. mean nothing",
        _kept(["../x.jpg", "./x.jpg", "a/../x.jpg", "a/./x.jpg"]),
        _lost("Names with parts '.' or '..'"),
    ),
    Fact(
        "key-backslash",
        "Backslashes are kept",
        _kept(["a\\b.jpg"]),
        _lost("Names with backslashes"),
    ),
    Fact(
        "key-control",
        "Tabs and line ends are kept",
        _kept(["a\tb.jpg", "a\nb.jpg", "a\rb.jpg"]),
        _lost("Names with tabs or line ends"),
    ),
    Fact(
        "key-long",
        "Keys of 1,024 bytes are kept",
        # A bucket of its own: rclone goes on listing what it has refused.
        _kept(["ä" * (_LONGEST // 2)], "long"),
        _lost("Names as long as S3 allows (1,024 bytes; parts over 255 bytes)"),
    ),
    Fact(
        "key-too-long",
        "Longer ones are refused",
        _too_long,
        Loss(Weight.LESS, "Nothing is lost: the worker puts over-long names into quarantine."),
    ),
    Fact(
        "key-folder",
        "A folder marker (a key that ends in /) is an object like others",
        _kept(["folder/"]),
        Loss(Weight.LESS, "Empty folders that a console makes may not stay. None is a picture."),
    ),
    Fact(
        "key-no-marker",
        "No folder appears by itself",
        _no_marker,
        Loss(Weight.LESS, "Folders stay after their last picture is done; the worker skips them."),
    ),
)
