"""waits.py - what every Python test needs: a wait for a condition, a free port."""
import socket
import time


def wait_for(what, condition, seconds=30, error=AssertionError):
    """The first true result of condition(), asked again every 10 ms; else an error that names what
    was waited for."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise error(f"waited {seconds} s for {what}")
        time.sleep(0.01)


def free_port():
    """One that nothing listens on; fixed, so that a program that is started anew has it too."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
