"""The product's name, version and warning, as they stand in pictures and objects."""

from importlib.metadata import PackageNotFoundError, version

PRODUCT = "heatproof"
NOT_FOR_DIAGNOSTIC_USE = "NOT FOR DIAGNOSTIC USE"


def product_version() -> str:
    """Return the version of the installed product; that of a checkout that is not installed is not known."""
    try:
        return version(PRODUCT)
    except PackageNotFoundError:
        return "0+checkout"
