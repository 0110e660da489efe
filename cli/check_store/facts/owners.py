"""Who may do what: a store that does not look at keys keeps nothing to itself."""

import secrets

from cli.check_store.fact import NO, OTHER, YES, Fact, Loss, Weight, holds
from cli.check_store.ground import PREFIX, Ground
from cli.check_store.keys import Keys
from cli.check_store.store import refusal

_FORBIDDEN, _ABSENT, _TAKEN = "403", "404", "409"
_OURS_ALREADY = "409 BucketAlreadyOwnedByYou"


def _again(ground: Ground) -> str:
    answer = refusal(ground.store.make_bucket, client=ground.s3, bucket=ground.bucket("plain"))
    return YES if answer in ("", _OURS_ALREADY) else answer


def _head_absent(ground: Ground) -> str:
    answer = refusal(ground.s3.head_bucket, Bucket=PREFIX + secrets.token_hex(8))
    return answer if answer and not answer.startswith(_ABSENT) else holds(bool(answer))


def _stranger(ground: Ground, keys: Keys | None) -> str:
    """Whether a client with these keys is kept out of everything."""
    bucket, key, client = ground.bucket("plain"), ground.key(), ground.store.client(keys)
    ground.put(bucket, key)
    where = {"Bucket": bucket, "Key": key}
    tried = {
        "list": refusal(client.list_objects_v2, Bucket=bucket),
        "read": refusal(client.get_object, **where),
        "write": refusal(client.put_object, **where, Body=b"another"),
        "delete": refusal(client.delete_object, **where),
    }
    let_in = [what for what, answer in tried.items() if not answer.startswith(_FORBIDDEN)]
    return YES if not let_in else f"no: may {', '.join(let_in)}"


def _wrong_secret(ground: Ground) -> str:
    return _stranger(ground, Keys(ground.store.keys.access, secrets.token_hex(20)))


def _anonymous(ground: Ground) -> str:
    return _stranger(ground, None)


def _others_objects(ground: Ground) -> str:
    return _stranger(ground, ground.store.other)


def _others_name(ground: Ground) -> str:
    if ground.other is None:
        return NO
    answer = refusal(ground.store.make_bucket, client=ground.other, bucket=ground.bucket("plain"))
    return answer if answer and not answer.startswith(_TAKEN) else holds(bool(answer))


def _others_head(ground: Ground) -> str:
    if ground.other is None:
        return NO
    answer = refusal(ground.other.head_bucket, Bucket=ground.bucket("plain"))
    return answer if answer and not answer.startswith(_FORBIDDEN) else holds(bool(answer))


_OPEN = "Whoever reaches the store can see, replace and delete pictures"
FACTS = (
    Fact(
        "wrong-secret",
        "A wrong secret key is refused",
        _wrong_secret,
        Loss(Weight.LOSES, f"{_OPEN}: run it where only you can reach it."),
    ),
    Fact(
        "anonymous",
        "A request without keys is refused",
        _anonymous,
        Loss(
            Weight.LOSES,
            "Whoever reaches the store gets at pictures, or at their names, without any key: run "
            "it where only you can reach it.",
        ),
    ),
    Fact(
        "others-objects",
        "Another owner cannot list, read, replace or delete our objects",
        _others_objects,
        Loss(Weight.LOSES, "Everyone who has keys to the store sees and changes all pictures."),
        OTHER,
    ),
    Fact(
        "others-name",
        "A bucket name that another owner has is refused with 409",
        _others_name,
        Loss(Weight.LOSES, "Two owners get one bucket: give bucket names that nobody else has."),
        OTHER,
    ),
    Fact(
        "others-head",
        "HEAD of another owner's bucket answers 403",
        _others_head,
        Loss(
            Weight.LOSES,
            "A bucket of somebody else is taken for ours, or for a free name: give bucket names "
            "that nobody else has.",
        ),
        OTHER,
    ),
    Fact(
        "absent-bucket",
        "HEAD of a bucket that is not there answers 404",
        _head_absent,
        Loss(Weight.BREAKS, "'./pipeline up' cannot tell whether a bucket's name is free."),
    ),
    Fact(
        "own-bucket-again",
        "Making one's own bucket again does no harm",
        _again,
        Loss(Weight.LESS, "Nothing is lost: the program looks first whether a bucket is there."),
    ),
)
