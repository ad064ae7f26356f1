"""Runs a module as ``python -m`` would, until standard input ends: ``peer.py MODULE ARGUMENT...``.

The harness holds the other end of standard input, so a peer never outlives the tests that it was started for,
however they end. The peer has its own session and temporary folder; both go with it. It knows nothing of
what the module does.
"""

import os
import runpy
import shutil
import signal
import sys
import tempfile
import threading


def end_with_input(folder):
    """Waits for the end of standard input, then ends the peer with everything that it started."""
    while os.read(0, 4096):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


os.setsid()
own_folder = tempfile.mkdtemp(prefix="carryall-peer-")
os.environ["TMPDIR"] = os.environ["HOME"] = tempfile.tempdir = own_folder
threading.Thread(target=end_with_input, args=[own_folder], daemon=True).start()
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
