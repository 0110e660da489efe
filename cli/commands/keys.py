"""Print the configuration of another S3 client for the stack's buckets, with its secret key.

\b
s3cmd:  ./pipeline keys --s3cmd >~/.s3cfg
rclone: ./pipeline keys --rclone >>~/.config/rclone/rclone.conf
aws:    ./pipeline keys --aws >>~/.aws/config
        aws --profile image-pipeline-local s3 ls s3://BUCKET

The output holds a secret: keep the file to yourself (chmod 600).
"""  # noqa: D301  click reads \b: lines that it does not wrap

from urllib.parse import urlsplit

import click

from cli import options
from cli.errors import CommandError
from cli.stacks import outputs
from cli.stacks.outputs import Outputs
from cli.stacks.target import Target
from infra.names import PROJECT


@click.command(help=__doc__)
@options.stack
@click.option("--s3cmd", "client", flag_value="s3cmd", help="~/.s3cfg")
@click.option("--rclone", "client", flag_value="rclone", help="A remote for rclone.conf.")
@click.option("--aws", "client", flag_value="aws", help="A profile for ~/.aws/config.")
def command(target: Target, client: str | None) -> None:
    if client is None:
        raise CommandError("For which client? Give --s3cmd, --rclone or --aws.")
    click.echo(configuration(client, f"{PROJECT}-{target.name}", outputs.read(target.outputs())))


def configuration(client: str, name: str, stack: Outputs) -> str:
    """Return the configuration of a client.

    Args:
        client: "s3cmd", "rclone" or "aws".
        name: What rclone calls the store, and aws the profile.
        stack: The stack's outputs.

    Returns:
        A section of the client's file.
    """
    section, values = {"s3cmd": _s3cmd, "rclone": _rclone, "aws": _aws}[client](name, stack)
    return "\n".join([f"[{section}]", *(f"{key} = {value}" for key, value in values.items())])


def _s3cmd(_name: str, stack: Outputs) -> tuple[str, dict[str, str]]:
    """See https://s3tools.org/kb/item14.htm."""
    endpoint = urlsplit(stack.s3_endpoint)
    return "default", {
        "access_key": stack.s3_access_key,
        "secret_key": stack.s3_secret_key,
        "host_base": endpoint.netloc,
        "host_bucket": endpoint.netloc,  # without %(bucket)s: buckets are part of the path
        "bucket_location": stack.s3_region,
        "use_https": str(endpoint.scheme == "https"),
    }


def _rclone(name: str, stack: Outputs) -> tuple[str, dict[str, str]]:
    """See https://rclone.org/s3/."""
    return name, {
        "type": "s3",
        "provider": "Other",
        "access_key_id": stack.s3_access_key,
        "secret_access_key": stack.s3_secret_key,
        "endpoint": stack.s3_endpoint,
        "region": stack.s3_region,
        "force_path_style": "true",
    }


def _aws(name: str, stack: Outputs) -> tuple[str, dict[str, str]]:
    """See https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html."""
    return f"profile {name}", {
        "aws_access_key_id": stack.s3_access_key,
        "aws_secret_access_key": stack.s3_secret_key,
        "endpoint_url": stack.s3_endpoint,
        "region": stack.s3_region,
        # Stores other than AWS's refuse checksums that AWS's clients send by default.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
        "s3 =\n  addressing_style": "path",
    }
