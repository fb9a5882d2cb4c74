"""The broker's core in one thread, on a clock, a loop and a store that one seed decides: a life that can be replayed.

What decides nothing at random in the product is the product's own: broker, catalog, leasing, reaper, redriver, pushers,
the grouping of verbs and the start and end of the application. What would is taken from the seed instead: time, the
length of every wait, the network, the storage's faults, identifiers and the secret of lease ids.
"""
