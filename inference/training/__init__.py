"""How the shipped bundles were trained; not part of the installed product.

Model cards of bundles sealed by 0.1.0 name it by its former package, inference.bundles.
"""
