"""How the shipped bundles were trained; not part of the installed product."""
