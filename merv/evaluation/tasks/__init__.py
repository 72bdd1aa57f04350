"""The tasks that come with merv; importing this package registers them, one benchmark a module."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__, prefix=f"{__name__}."):
    import_module(_module.name)
