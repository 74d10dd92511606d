"""Networks of torchvision are an extra of the installation: tests are collected by whether it is there."""

from importlib.util import find_spec

collect_ignore = ["test_without_torchvision.py" if find_spec("torchvision") else "test_torchvision.py"]
