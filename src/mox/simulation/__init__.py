"""Providers that are not there: honest answers from the given context, at modelled speeds.

One deterministic core says what is answered (`core.script`): it depends on the seed, the account,
the request and the attempt, never on the clock. Two fronts play it: a transport in this process,
and a server that speaks both wire formats. Everything that comes from here says that it is
simulated.
"""
