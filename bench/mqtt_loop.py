"""`python -m bench.mqtt_loop PORT`: what people write to store messages: paho, and boto3's PUT.

The session is durable, and a message is acknowledged once it is stored, as ingest does; the topics
are `loop/#`. Standard input has the store's address, its keys and the bucket as JSON.
"""

import json
import sys

import boto3
from botocore.config import Config
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion


def main(port: int) -> None:
    """Store messages until the process is killed."""
    place = json.load(sys.stdin)
    s3 = boto3.client(
        "s3",
        endpoint_url=place["endpoint"],
        region_name="us-east-1",
        aws_access_key_id=place["access_key"],
        aws_secret_access_key=place["secret_key"],
        config=Config(s3={"addressing_style": "path"}),
    )

    def store(client: Client, _: object, message: MQTTMessage) -> None:
        s3.put_object(Bucket=place["bucket"], Key=message.topic, Body=message.payload)
        client.ack(message.mid, message.qos)

    client = Client(CallbackAPIVersion.VERSION2, "loop", clean_session=False, manual_ack=True)
    client.on_connect, client.on_message = _subscribe, store
    client.connect("127.0.0.1", port)
    client.loop_forever()


def _subscribe(client: Client, *_: object) -> None:
    client.subscribe("loop/#", 1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
