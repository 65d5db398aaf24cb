"""A subscriber as programs with redis-py are: it prints messages and, when the connection is lost, subscribes again."""
import sys
import time

import redis

client = redis.Redis(port=int(sys.argv[1]), decode_responses=True)
while True:
    try:
        with client.pubsub(ignore_subscribe_messages=True) as subscriber:
            subscriber.subscribe(sys.argv[2])
            for message in subscriber.listen():
                print(message["data"])
    except redis.ConnectionError:
        time.sleep(0.05)
