"""What settings must have in common: rules that name more than one of them."""

import json
from collections.abc import Iterator, Mapping

_BUCKETS = ("inputBucket", "outputBucket", "quarantineBucket")


def violations(values: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each rule that is broken; the values themselves may be invalid too."""
    texts = {name: value.strip() for name, value in values.items()}
    if not texts["databaseCloud"] and texts["database"] != "existing":
        yield "databaseCloud is missing: set it to the name of an entry in your clouds.yaml."
    yield from _store(texts)
    yield from _buckets(texts)
    yield from _database(texts)
    if texts["operatorCidrs"] in ("", "[]"):
        yield (
            "operatorCidrs is missing: list the addresses that may log in, for example"
            " [192.0.2.7/32], since log and status run over ssh."
        )


def _store(texts: Mapping[str, str]) -> Iterator[str]:
    needed = {
        "objectStoreEndpoint": "the S3 store's address, https://host",
        "s3AccessKey": "the store's access key, with `--secret`",
        "s3SecretKey": "the store's secret key, with `--secret`",
    }
    if texts["objectStore"] == "aws":
        needed["objectStoreRegion"] = "the region of the buckets, for example eu-north-1"
    if texts["objectStore"] in ("aws", "existing"):
        for name, what in needed.items():
            if not texts[name]:
                yield f"{name} is missing: set it to {what}."
    elif bool(texts["s3AccessKey"]) != bool(texts["s3SecretKey"]):
        missing = "s3SecretKey" if texts["s3AccessKey"] else "s3AccessKey"
        yield (
            f"{missing} is missing though its other half is set: set both, or neither so that keys"
            " are made."
        )


def _buckets(texts: Mapping[str, str]) -> Iterator[str]:
    for place, name in enumerate(_BUCKETS):
        if texts["objectStore"] == "existing" and not texts[name]:
            yield f"{name} is missing: objectStore is existing, so name a bucket you have."
        for other in _BUCKETS[:place]:
            if texts[name] and texts[name] == texts[other]:
                yield (
                    f"{name} and {other} are both {texts[name]!r}: give each its own bucket, or"
                    " results would be processed again."
                )
    try:
        adopted = json.loads(texts["adoptBuckets"] or "[]")
    except ValueError:
        return
    for bucket in adopted if isinstance(adopted, list) else ():
        if bucket not in [texts[name] for name in _BUCKETS]:
            yield (
                f"adoptBuckets has {bucket!r}, which is none of the three buckets: set inputBucket,"
                " outputBucket or quarantineBucket to it, or remove it."
            )


def _database(texts: Mapping[str, str]) -> Iterator[str]:
    mode = texts["databaseSslMode"]
    if mode.startswith("verify-") and not texts["databaseSslRootCert"]:
        yield (
            "databaseSslRootCert is missing: set it to a certificate's path, since sslmode is"
            f" {mode}."
        )
    if bool(texts["databaseSslCert"]) != bool(texts["databaseSslKey"]):
        yield "databaseSslCert and databaseSslKey go together: set both, or neither."
    admin = texts["databaseAdmin"]
    if texts["database"] == "existing" and admin and admin == texts["databaseUser"]:
        yield (
            f"databaseAdmin and databaseUser are both {admin!r}: the worker must not own the"
            " tables, so make it a user of its own."
        )
