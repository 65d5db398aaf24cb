"""What an ordinary program does with redis-py and its default options. Prints "ok", or raises."""
import sys

import redis

client = redis.Redis(port=int(sys.argv[1]), decode_responses=True)


def same(got, want):
    if got != want:
        raise SystemExit(f"got {got!r}, want {want!r}")


same(client.set("py:a", "1"), True)
same(client.get("py:a"), "1")
same(client.get("py:none"), None)
same(client.set("py:a", "2", nx=True), None)
same(client.mset({"py:b": "2", "py:c": "3"}), True)
same(client.mget("py:a", "py:none", "py:c"), ["1", None, "3"])
same(client.incrby("py:a", 41), 42)
with client.pipeline(transaction=True) as tx:
    same(tx.set("py:d", "x").get("py:d").incr("py:a").execute(), [True, "x", 43])
with client.pipeline(transaction=False) as pipe:
    for i in range(100):
        pipe.set(f"py:p{i}", i)
    same(pipe.execute(), [True] * 100)
same(len(list(client.scan_iter("py:p*"))), 100)
with client.pipeline() as tx:
    tx.watch("py:a")
    client.set("py:a", "changed")
    tx.multi()
    tx.set("py:a", "mine")
    try:
        tx.execute()
        raise SystemExit("a watched key changed, and EXEC went on")
    except redis.WatchError:
        pass
same(client.transaction(lambda t: t.multi() or t.incr("py:n"), "py:n"), [1])
try:
    client.incr("py:d")
    raise SystemExit("INCR of a text went on")
except redis.ResponseError as err:
    same(str(err), "value is not an integer or out of range")
same(client.info("server")["redis_mode"], "standalone")
same(client.config_get("appendonly"), {"appendonly": "yes"})
same(client.client_setname("worker"), True)
same(client.client_getname(), "worker")
same(client.ping(), True)
print("ok")
