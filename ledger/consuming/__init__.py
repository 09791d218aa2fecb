"""The consumer's side: deliveries in flight, the epoch that goes with each, and the loop.

`window` decides, without a thread, a lock or a clock; `consumer` is for threads, and `ledger.aio`
has the same for coroutines.
"""
