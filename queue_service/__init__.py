"""The durable broker.

A send that was answered OK is on disk and is delivered at least once, until it is acked, expires, or has failed its
last attempt and lies in the dead letter queue. Every message is settled on its own. A lease is a fence: at no instant
do two consumers hold a live lease on one message.
"""
