-- Give a bucket of a Cluster an id where it has none; returns the id, and whether there is any subscriber.
-- KEYS  id all   ARGV  a new id
-- Safe to send again: what was given first stays.
redis.call('SETNX', KEYS[1], ARGV[1])
return {redis.call('GET', KEYS[1]), redis.call('EXISTS', KEYS[2])}
