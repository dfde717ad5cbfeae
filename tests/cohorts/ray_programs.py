"""Programs that tests run: one that holds the Ray of a run open, one that enters it, one whose start fails.

Each is a process of its own, for Ray reads its settings once and stays in the process that started it.
"""

import json
import os
import sys
import tempfile

from cohorts import on_ray


def hold():
    """Start the Ray of a run, say where it is and its token, and hold it until the input ends."""
    with on_ray._ray(1) as ray:
        print(ray.get_runtime_context().gcs_address, os.environ["RAY_AUTH_TOKEN"], flush=True)
        sys.stdin.read()


def enter(address):
    """Look into a Ray with what the environment has, and say what came of it."""
    from ray._raylet import GcsClient

    try:
        print(len(GcsClient(address=address).get_all_node_info(timeout=20)), "node")
    except Exception as error:
        print(f"{type(error).__name__}: {error}")


def fail(times):
    """Start the Ray of a run, which fails so many times once its processes run; say what came of it."""
    folders, running = [], []
    make, start = tempfile.mkdtemp, on_ray._start

    def made(prefix):
        folders.append(make(prefix=prefix))
        return folders[-1]

    def started(ray, *given):
        from ray._private import services

        ask = services.get_node

        def asked(*where):
            services.get_node = ask
            running.append(_main_processes())
            raise OSError("made by a test")

        if len(running) < times:
            services.get_node = asked  # the last that it asks for while it starts
        start(ray, *given)

    tempfile.mkdtemp, on_ray._start = made, started
    try:
        with on_ray._ray(1) as ray:
            result = f"{len(ray.nodes())} node"
            running.append(_main_processes())
    except on_ray.WorkersLost as error:
        result = type(error).__name__
    left = [process.name() for process in on_ray._children()]
    there = os.path.exists(folders[0])
    print(json.dumps({"result": result, "running": running, "left": left, "folder": there}))


def _main_processes():
    return sorted({"gcs_server", "raylet"} & {process.name() for process in on_ray._children()})


if __name__ == "__main__":
    {"hold": hold, "enter": enter, "fail": lambda times: fail(int(times))}[sys.argv[1]](*sys.argv[2:])
