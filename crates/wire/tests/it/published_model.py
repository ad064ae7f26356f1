"""Prints the published models of the three services as one JSON object, for the test beside this file."""

import gzip
import json
import os
import sys

try:
    import botocore
except ImportError:
    sys.exit("botocore is not installed")

SERVICES = {
    "cognito-sync": "2014-06-30",
    "cognito-identity": "2014-06-30",
    "sts": "2011-06-15",
}


def load(service, version):
    path = os.path.join(os.path.dirname(botocore.__file__), "data", service, version, "service-2.json")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    with gzip.open(path + ".gz", "rt", encoding="utf-8") as file:
        return json.load(file)


json.dump({service: load(service, version) for service, version in SERVICES.items()}, sys.stdout)
