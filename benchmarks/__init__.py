"""Benchmarks: speed and memory, side by side in one run; the results stand in docs/benchmarks.md.

encoder   our engines and peers against the floor
service   the served model beside other servers
cold      to the first answer, and memory
growth    time by tokens
resampling, metrics, apple_export      before and after the network
workers, obedient, contenders, peers   contenders in processes of their own, which take turns
peak, weights                          the floor; seeded weights for speed and precision
results_file, report, plots, machine   what was measured, and the page
"""

__all__: list[str] = []
